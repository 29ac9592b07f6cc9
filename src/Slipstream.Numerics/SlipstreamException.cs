namespace Slipstream;

/// <summary>
/// A failure whose message is meant for the person at the keyboard: one sentence that names the file or the value and the remedy.
/// The command line prints the message alone; every other exception is a defect.
/// </summary>
public class SlipstreamException : Exception
{
    /// <summary>Creates the exception with its one sentence.</summary>
    public SlipstreamException(string message) : base(message) { }

    /// <summary>Creates the exception with its one sentence and the failure behind it.</summary>
    public SlipstreamException(string message, Exception? innerException) : base(message, innerException) { }
}
