using System.CommandLine;

namespace Slipstream.Trainer.Commands;

/// <summary><c>slipstream-train distill</c>.</summary>
internal static class DistillCommand
{
    public static Command Create() => new("distill", "Distil a draft model from a target, or measure what drafts bring.")
    {
        DistillDraftCommand.Create(),
        DistillMeasureCommand.Create(),
    };
}
