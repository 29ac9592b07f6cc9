namespace Slipstream.Models;

/// <summary>
/// Typed access to the fields of a checkpoint's configuration, whether <c>config.json</c> or GGUF metadata.
/// Every failure is one sentence that names the file, the field, its value and what was expected.
/// </summary>
public abstract class ConfigReader
{
    /// <summary>The file, for messages.</summary>
    public abstract string Source { get; }

    /// <summary>Whether the field is there and not null.</summary>
    public abstract bool Has(string field);

    /// <summary>A whole number in <c>[min, max]</c>; <paramref name="fallback"/> where the field is absent, and a failure where both are.</summary>
    /// <exception cref="SlipstreamException">The field is missing, no whole number or out of range.</exception>
    public abstract int Int32(string field, int? fallback = null, int min = 1, int max = int.MaxValue);

    /// <summary>A finite number greater than or equal to <paramref name="min"/>.</summary>
    /// <exception cref="SlipstreamException">The field is missing, no number, not finite or too small.</exception>
    public abstract double Double(string field, double? fallback = null, double min = double.MinValue);

    /// <summary>A flag.</summary>
    /// <exception cref="SlipstreamException">The field is missing or no boolean.</exception>
    public abstract bool Flag(string field, bool? fallback = null);

    /// <summary>A text, or null where the field is absent.</summary>
    /// <exception cref="SlipstreamException">The field is no text.</exception>
    public abstract string? Text(string field);

    /// <summary>A list of texts, or null where the field is absent.</summary>
    /// <exception cref="SlipstreamException">The field is no list of texts.</exception>
    public abstract IReadOnlyList<string>? Texts(string field);

    /// <summary>A whole number or a list of them (<c>eos_token_id</c> is either), empty where the field is absent.</summary>
    /// <exception cref="SlipstreamException">The field is neither.</exception>
    public abstract IReadOnlyList<int> Int32s(string field);

    /// <summary>A nested object, or null where the field is absent.</summary>
    /// <exception cref="SlipstreamException">The field is no object.</exception>
    public abstract ConfigReader? Section(string field);

    /// <summary>A failure about <paramref name="field"/>: one sentence.</summary>
    public virtual SlipstreamException Invalid(string field, string problem) => new($"'{Source}': the field '{field}' {problem}.");
}
