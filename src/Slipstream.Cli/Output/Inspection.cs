using System.Globalization;
using System.Text.Json;
using Slipstream.Cli.Commands;
using Slipstream.Models;
using Slipstream.Numerics;
using Spectre.Console;

namespace Slipstream.Cli.Output;

/// <summary>What <c>inspect</c> tells, as JSON and for a person.</summary>
internal sealed record Inspection(InspectedModel Target, InspectedModel? Draft, MemoryPlan Plan, IReadOnlyList<string> Warnings)
{
    /// <summary>How many times as many parameters the target has.</summary>
    public static double Ratio(InspectedModel target, InspectedModel draft) => draft.Parameters == 0 ? 0 : (double)target.Parameters / draft.Parameters;

    /// <summary>Writes the members of the JSON object.</summary>
    public void Write(Utf8JsonWriter writer)
    {
        WriteModel(writer, Target);
        if (Draft is not null)
        {
            writer.WriteStartObject("draft");
            WriteModel(writer, Draft);
            writer.WriteEndObject();
            writer.WriteNumber("size_ratio", Math.Round(Ratio(Target, Draft), 4));
        }
        writer.WriteStartArray("warnings");
        foreach (string warning in Warnings) writer.WriteStringValue(warning);
        writer.WriteEndArray();
        writer.WriteStartObject("memory");
        writer.WriteNumber("weights_bytes", Plan.Weights);
        writer.WriteNumber("draft_bytes", Plan.Draft);
        writer.WriteNumber("kv_bytes", Plan.Kv);
        writer.WriteNumber("draft_kv_bytes", Plan.DraftKv);
        writer.WriteNumber("scratch_bytes", Plan.Scratch);
        writer.WriteNumber("runtime_bytes", Plan.Runtime);
        writer.WriteNumber("total_bytes", Plan.Total);
        writer.WriteEndObject();
        writer.WriteStartObject("emitted_kernels");
        writer.WriteBoolean("available", EmittedKernels.IsAvailable);
        writer.WriteString("unavailable_reason", EmittedKernels.UnavailableReason);
        writer.WriteBoolean("amx", EmittedKernels.HasAmx);
        writer.WriteEndObject();
        writer.WriteStartArray("tensors");
        foreach (TensorInfo tensor in Target.Tensors)
        {
            writer.WriteStartObject();
            writer.WriteString("name", tensor.Name);
            writer.WriteString("format", tensor.Format);
            writer.WriteStartArray("shape");
            foreach (long dimension in tensor.Shape) writer.WriteNumberValue(dimension);
            writer.WriteEndArray();
            writer.WriteNumber("bytes", tensor.Bytes);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    /// <summary>Prints it as tables.</summary>
    public void Print(IAnsiConsole console)
    {
        Grid summary = new Grid().AddColumn().AddColumn();
        void Row(string name, string value) => summary.AddRow($"[grey]{name}[/]", Markup.Escape(value));
        ModelConfig c = Target.Config;
        Row("model", Target.Path);
        Row("family", $"{c.Family} ({Target.Kind}), {Count(Target.Parameters)} parameters");
        Row("shape", $"{c.Layers} layers, width {c.HiddenSize}, feed forward {c.IntermediateSize}, {c.Heads} heads over {c.KvHeads} of {c.HeadSize}");
        Row("vocabulary", $"{c.VocabularySize} tokens{(c.OutputTokens.IsEmpty ? "" : $", a head for {c.HeadRows} of them")}, context {c.ContextLength}, {(Target.HasTokenizer ? "with a tokenizer" : "no tokenizer")}");
        Row("formats", string.Join(", ", Target.Formats.Select(format => $"{format.Format} {Size(format.Bytes)} in {format.Tensors} tensors")));
        Row("kernels", EmittedKernels.UnavailableReason is { } reason ? $"intrinsics ({reason})" : $"emitted where a format has them{(EmittedKernels.HasAmx ? ", for the matrix unit (AMX) too" : "")}");
        if (Draft is not null) Row("draft", FormattableString.Invariant($"{Draft.Path}: {Count(Draft.Parameters)} parameters, a ratio of {Ratio(Target, Draft):0.0}"));
        console.Write(summary);
        Table memory = new Table().Border(TableBorder.Rounded).Title("Memory plan").AddColumn("What").AddColumn(new TableColumn("Size").RightAligned());
        foreach ((string what, long bytes) in new[] { ("weights", Plan.Weights), ("draft weights", Plan.Draft), ("cache", Plan.Kv), ("draft cache", Plan.DraftKv), ("scratch", Plan.Scratch), ("runtime (estimate)", Plan.Runtime) })
            if (bytes > 0) memory.AddRow(what, Size(bytes));
        memory.AddRow("[bold]total[/]", $"[bold]{Size(Plan.Total)}[/]");
        console.Write(memory);
        Table tensors = new Table().Border(TableBorder.Rounded).AddColumn("Tensor").AddColumn("Format").AddColumn("Shape").AddColumn(new TableColumn("Size").RightAligned());
        foreach (TensorInfo tensor in Target.Tensors)
            tensors.AddRow(Markup.Escape(tensor.Name), Markup.Escape(tensor.Format), string.Join(" × ", tensor.Shape), Size(tensor.Bytes));
        console.Write(tensors);
    }

    private static void WriteModel(Utf8JsonWriter writer, InspectedModel model)
    {
        ModelConfig c = model.Config;
        writer.WriteString("model", model.Path);
        writer.WriteString("kind", model.Kind);
        writer.WriteString("family", c.Family);
        writer.WriteNumber("parameters", model.Parameters);
        writer.WriteBoolean("has_tokenizer", model.HasTokenizer);
        writer.WriteStartObject("config");
        writer.WriteNumber("vocabulary_size", c.VocabularySize);
        writer.WriteNumber("head_rows", c.HeadRows);
        writer.WriteNumber("hidden_size", c.HiddenSize);
        writer.WriteNumber("intermediate_size", c.IntermediateSize);
        writer.WriteNumber("layers", c.Layers);
        writer.WriteNumber("heads", c.Heads);
        writer.WriteNumber("kv_heads", c.KvHeads);
        writer.WriteNumber("head_size", c.HeadSize);
        writer.WriteNumber("context_length", c.ContextLength);
        writer.WriteString("norm", c.Norm == NormKind.Rms ? "rms" : "layer");
        writer.WriteNumber("norm_epsilon", c.NormEpsilon);
        writer.WriteString("activation", c.Activation switch { ActivationKind.Silu => "silu", ActivationKind.GeluTanh => "gelu_tanh", _ => "gelu" });
        writer.WriteBoolean("rotary", c.Rotary is not null);
        writer.WriteBoolean("tied_head", c.TiedHead);
        if (c.BeginToken is { } begin) writer.WriteNumber("begin_token", begin);
        else writer.WriteNull("begin_token");
        writer.Numbers("end_tokens", c.EndTokens);
        if (!c.Windows.IsDefaultOrEmpty) writer.Numbers("windows", c.Windows);
        writer.WriteEndObject();
        writer.WriteStartObject("formats");
        foreach ((string format, int tensors, long bytes) in model.Formats)
        {
            writer.WriteStartObject(format);
            writer.WriteNumber("tensors", tensors);
            writer.WriteNumber("bytes", bytes);
            writer.WriteEndObject();
        }
        writer.WriteEndObject();
    }

    private static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 30):0.00} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 20):0.0} MiB"),
        >= 1L << 10 => string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 10):0.0} KiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
    };

    private static string Count(long count) => count switch
    {
        >= 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e9:0.00} billion"),
        >= 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e6:0.0} million"),
        _ => count.ToString(CultureInfo.InvariantCulture),
    };
}
