namespace Slipstream.Cli;

/// <summary>What the process answers to its caller. Stated in <c>slipstream --help</c> and docs/cli.md.</summary>
internal static class ExitCodes
{
    /// <summary>All went well; a reader that closed the pipe early counts as that.</summary>
    public const int Success = 0;

    /// <summary>The work failed: a file that cannot be used, a request the model cannot take.</summary>
    public const int Failure = 1;

    /// <summary>The command line or a file of requests is wrong; nothing was done.</summary>
    public const int Usage = 2;

    /// <summary>Ctrl+C (128 + SIGINT).</summary>
    public const int Interrupted = 130;

    /// <summary>Asked to end (128 + SIGTERM).</summary>
    public const int Terminated = 143;
}

/// <summary>A mistake in the command line or in a file of requests; one sentence.</summary>
internal sealed class UsageException(string message) : SlipstreamException(message);
