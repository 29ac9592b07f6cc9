namespace Slipstream.Models;

/// <summary>
/// A regular expression over code points, for the patterns that tokenizers split text with. The platform's engine works on UTF-16 units, where a letter
/// outside the basic plane is no <c>\p{L}</c>, so it would cut text elsewhere than the tokenizers' own engine does.
/// </summary>
/// <remarks>
/// Backtracking, first alternative first, greedy. Groups are not repeated (only optional), so the depth of recursion is that of the pattern;
/// a budget of steps ends what would take too long.
/// </remarks>
internal sealed class SplitPattern
{
    /// <summary>GPT-2's pattern, which the byte-level pre-tokenizer has built in.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private readonly string _pattern;
    private readonly SplitNode _root;

    private SplitPattern(string pattern, SplitNode root) => (_pattern, _root) = (pattern, root);

    /// <summary>Compiles a pattern.</summary>
    /// <param name="pattern">The regular expression.</param>
    /// <param name="source">The file, for messages.</param>
    /// <exception cref="SlipstreamException">The pattern has a construct that is not supported, or it matches the empty text.</exception>
    public static SplitPattern Compile(string pattern, string source)
    {
        SplitNode? root = new SplitPatternParser(pattern, source).Parse();
        SplitPattern compiled = new(pattern, root ?? throw SplitPatternParser.Unsupported(pattern, source, "the empty pattern"));
        return MatchesEmpty(compiled._root, []) ? throw SplitPatternParser.Unsupported(pattern, source, "a match of the empty text") : compiled;
    }

    /// <summary>A pattern that matches just this text.</summary>
    public static SplitPattern Literal(string text)
    {
        SplitNode? next = null;
        for (int i = text.Length; i > 0;)
        {
            i -= i > 1 && char.IsSurrogatePair(text[i - 2], text[i - 1]) ? 2 : 1;
            int codePoint = char.IsHighSurrogate(text[i]) && i + 1 < text.Length ? char.ConvertToUtf32(text, i) : text[i];
            next = SplitNode.Repeat(new CodePointSet(0, [(codePoint, codePoint)], [], false), 1, 1, false, next);
        }
        return new SplitPattern(text, next!);
    }

    /// <summary>A pattern that matches one code point of a set.</summary>
    public static SplitPattern One(CodePointSet set) => new("", SplitNode.Repeat(set, 1, 1, false, null));

    /// <summary>Steps that a text of this length may take: far more than any pattern in use needs, and still an end.</summary>
    public static long Budget(int length) => 1_000_000 + 1000L * length;

    /// <summary>The leftmost match at or after <paramref name="start"/>.</summary>
    /// <param name="text">No lone surrogates.</param>
    /// <param name="start">Where to begin to look, at a code point.</param>
    /// <param name="budget">What is left of <see cref="Budget"/>, shared by all matches of a text.</param>
    /// <returns>Its units <c>[from, to)</c>, or (-1, -1).</returns>
    /// <exception cref="SlipstreamException">The budget is spent.</exception>
    public (int From, int To) Find(ReadOnlySpan<char> text, int start, ref long budget)
    {
        for (int at = start; at < text.Length; at += char.IsHighSurrogate(text[at]) ? 2 : 1)
        {
            int end = Match(_root, text, at, ref budget);
            if (end >= 0)
                return (at, end);
        }
        return (-1, -1);
    }

    // The end of the match, or -1. A null node is the end of the pattern.
    private int Match(SplitNode? node, ReadOnlySpan<char> text, int at, ref long budget)
    {
        while (node is not null)
        {
            if (--budget < 0)
                throw new SlipstreamException($"The tokenizer's split pattern '{TokenizerField.Shortened(_pattern)}' takes too long on a text of {text.Length} characters; split the text into shorter ones.");
            switch (node.Kind)
            {
                case SplitNodeKind.Repeat:
                    CodePointSet set = node.Set!;
                    int end = at, count = 0;
                    while (count < node.Max && end < text.Length)
                    {
                        char unit = text[end];
                        bool wide = char.IsHighSurrogate(unit);
                        if (!set.Contains(wide ? char.ConvertToUtf32(unit, text[end + 1]) : unit))
                            break;
                        end += wide ? 2 : 1;
                        count++;
                    }
                    budget -= count;
                    if (count < node.Min)
                        return -1;
                    if (node.Next is null)
                        return end;
                    for (; count > node.Min && !node.Possessive; count--)
                    {
                        int rest = Match(node.Next, text, end, ref budget);
                        if (rest >= 0)
                            return rest;
                        end -= char.IsLowSurrogate(text[end - 1]) ? 2 : 1;
                    }
                    at = end;
                    node = node.Next;
                    break;
                case SplitNodeKind.Alternatives:
                    foreach (SplitNode? branch in node.Branches!)
                    {
                        int rest = Match(branch, text, at, ref budget);
                        if (rest >= 0)
                            return rest;
                    }
                    return -1;
                default:
                    if (Match(node.Branches![0], text, at, ref budget) >= 0 == node.Negated)
                        return -1;
                    node = node.Next;
                    break;
            }
        }
        return at;
    }

    // A node seen before did not match the empty text, else the search would have ended there.
    private static bool MatchesEmpty(SplitNode? node, HashSet<SplitNode> seen) => node is null || (seen.Add(node) && node.Kind switch
    {
        SplitNodeKind.Repeat => node.Min == 0 && MatchesEmpty(node.Next, seen),
        SplitNodeKind.Alternatives => node.Branches!.Any(branch => MatchesEmpty(branch, seen)),
        _ => MatchesEmpty(node.Next, seen),
    });
}

internal enum SplitNodeKind
{
    /// <summary>Code points of a set, several times.</summary>
    Repeat,

    /// <summary>The first branch that leads to a match; each goes on to what follows by itself.</summary>
    Alternatives,

    /// <summary>A condition on the text ahead.</summary>
    Ahead,
}

/// <summary>A step of a <see cref="SplitPattern"/>.</summary>
internal sealed class SplitNode
{
    public required SplitNodeKind Kind { get; init; }
    public CodePointSet? Set { get; init; }
    public int Min { get; init; }
    public int Max { get; init; }
    public bool Possessive { get; init; }
    public SplitNode?[]? Branches { get; init; }
    public bool Negated { get; init; }
    public SplitNode? Next { get; init; }

    public static SplitNode Repeat(CodePointSet set, int min, int max, bool possessive, SplitNode? next) =>
        new() { Kind = SplitNodeKind.Repeat, Set = set, Min = min, Max = max, Possessive = possessive, Next = next };
}
