namespace Slipstream.Models;

/// <summary>Text to token ids and back. Thread-safe.</summary>
public abstract class Tokenizer
{
    /// <summary>Ids run from 0 to this minus 1.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The begin-of-sequence token, where there is one.</summary>
    public abstract int? BeginToken { get; }

    /// <summary>The end-of-sequence token, where there is one.</summary>
    public abstract int? EndToken { get; }

    /// <summary>Encodes text; the added and special tokens written in it are recognised.</summary>
    /// <param name="text">Any text; a lone surrogate counts as U+FFFD.</param>
    /// <param name="pair">A second text, for tokenizers whose template takes one.</param>
    /// <param name="addSpecialTokens">Whether the tokenizer's own begin and end tokens are added.</param>
    public abstract TokenizedText Encode(string text, string? pair = null, bool addSpecialTokens = true);

    /// <summary>Decodes ids. Bytes that are no UTF-8 become U+FFFD.</summary>
    /// <exception cref="SlipstreamException">An id is not in the vocabulary.</exception>
    public abstract string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false);

    /// <summary>The vocabulary's own spelling of a token (<c>Ġhello</c>).</summary>
    /// <exception cref="SlipstreamException">The id is not in the vocabulary.</exception>
    public abstract string TokenText(int id);

    /// <summary>The spelling of a token, or null for an id that has none, such as a hole before the added tokens.</summary>
    internal virtual string? Spelling(int id)
    {
        try
        {
            return TokenText(id);
        }
        catch (SlipstreamException)
        {
            return null;
        }
    }

    /// <summary>The id whose spelling is <paramref name="token"/>, or null.</summary>
    public abstract int? TokenId(string token);

    /// <summary>Whether the id is a special token (left out when special tokens are skipped).</summary>
    public abstract bool IsSpecial(int id);

    /// <summary>An incremental decoder for one sequence: it gives out text only when no later token can change it, so it never splits a character.</summary>
    public abstract TokenStream CreateStream(bool skipSpecialTokens = true);
}

/// <summary>Decodes the tokens of one sequence one at a time. Not thread-safe.</summary>
public abstract class TokenStream
{
    /// <summary>Adds a token and returns the text that became certain, perhaps empty. An id without a token, such as a row that pads the model's vocabulary, adds nothing.</summary>
    public abstract string Append(int id);

    /// <summary>What was held back: incomplete characters as U+FFFD.</summary>
    public abstract string Flush();
}

/// <summary>Encoded text. The lists have one entry a token.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="Tokens">The vocabulary's spelling of each.</param>
/// <param name="Offsets"><c>[start, end)</c> of each in the text or pair it came from, in Unicode code points.</param>
/// <param name="TypeIds">0, or 1 for tokens of the pair where the tokenizer tells them apart.</param>
public sealed record TokenizedText(IReadOnlyList<int> Ids, IReadOnlyList<string> Tokens, IReadOnlyList<(int Start, int End)> Offsets, IReadOnlyList<int> TypeIds);
