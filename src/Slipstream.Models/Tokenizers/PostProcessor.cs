using System.Text;

namespace Slipstream.Models;

/// <summary>The tokens of one text, or a few special ones, on the way to the result.</summary>
/// <param name="typeId">Type of all its tokens.</param>
internal sealed class TokenSegment(int typeId)
{
    public List<int> Ids { get; } = [];
    public List<string> Tokens { get; } = [];
    public List<(int Start, int End)> Offsets { get; } = [];
    public int TypeId { get; set; } = typeId;

    public void Add(int id, string token, (int Start, int End) offset)
    {
        Ids.Add(id);
        Tokens.Add(token);
        Offsets.Add(offset);
    }
}

/// <summary>Completes encoded text: special tokens, types, trimmed offsets. Stateless.</summary>
internal abstract class PostProcessor
{
    /// <summary>What becomes of the segments: the text's, and the pair's where there is one.</summary>
    public abstract List<TokenSegment> Process(List<TokenSegment> segments, bool addSpecialTokens);
}

/// <summary>One after another.</summary>
internal sealed class SequencePostProcessor(IReadOnlyList<PostProcessor> parts) : PostProcessor
{
    public override List<TokenSegment> Process(List<TokenSegment> segments, bool addSpecialTokens)
    {
        foreach (PostProcessor part in parts)
            segments = part.Process(segments, addSpecialTokens);
        return segments;
    }
}

/// <summary>Takes the spaces at the ends of tokens out of their offsets.</summary>
internal sealed class TrimOffsetsPostProcessor(bool addPrefixSpace) : PostProcessor
{
    public override List<TokenSegment> Process(List<TokenSegment> segments, bool addSpecialTokens)
    {
        foreach (TokenSegment segment in segments)
            for (int i = 0; i < segment.Tokens.Count; i++)
            {
                (int start, int end) = segment.Offsets[i];
                (int leading, int trailing) = Spaces(segment.Tokens[i]);
                // A single space in front of the text was added, so that it is in no offset; of several none was.
                if (addPrefixSpace && leading == 1 && (i == 0 || start == 0))
                    leading = 0;
                start = Math.Min(start + leading, end);
                if (end >= trailing)
                    end = Math.Max(end - trailing, start);
                segment.Offsets[i] = (start, end);
            }
        return segments;
    }

    private static (int Leading, int Trailing) Spaces(string token)
    {
        int leading = 0, trailing = 0;
        bool inFront = true;
        foreach (Rune rune in token.EnumerateRunes())
        {
            bool space = rune.Value == ByteAlphabet.Character((byte)' ') || Rune.IsWhiteSpace(rune);
            inFront &= space;
            leading += inFront ? 1 : 0;
            trailing = space ? trailing + 1 : 0;
        }
        return (leading, trailing);
    }
}

/// <summary>A part of a template: special tokens, or the text or pair.</summary>
/// <param name="Sequence">0 the text, 1 the pair, -1 special tokens.</param>
/// <param name="TypeId">Type of its tokens.</param>
/// <param name="Special">The special tokens, empty for a sequence.</param>
internal sealed record TemplatePart(int Sequence, int TypeId, IReadOnlyList<(int Id, string Token)> Special);

/// <summary>Lays out text, pair and special tokens.</summary>
internal sealed class TemplatePostProcessor(IReadOnlyList<TemplatePart> single, IReadOnlyList<TemplatePart> pair) : PostProcessor
{
    public override List<TokenSegment> Process(List<TokenSegment> segments, bool addSpecialTokens)
    {
        List<TokenSegment> output = [];
        foreach (TemplatePart part in segments.Count > 1 ? pair : single)
            if (part.Sequence >= 0)
            {
                TokenSegment segment = segments[part.Sequence];
                segment.TypeId = part.TypeId;
                output.Add(segment);
            }
            else if (addSpecialTokens)
            {
                TokenSegment special = new(part.TypeId);
                foreach ((int id, string token) in part.Special)
                    special.Add(id, token, (0, 0));
                output.Add(special);
            }
        return output;
    }
}
