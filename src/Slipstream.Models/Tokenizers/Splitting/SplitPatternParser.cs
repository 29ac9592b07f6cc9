using System.Globalization;
using System.Text;

namespace Slipstream.Models;

/// <summary>
/// Parses the part of Oniguruma's syntax that tokenizers use: alternatives, classes, <c>\p{…}</c>, greedy and possessive repeats,
/// <c>(?:…)</c>, <c>(?i:…)</c> and looking ahead. All else is refused by name.
/// </summary>
internal sealed class SplitPatternParser(string pattern, string source)
{
    private const int MaxLength = 8192, MaxDepth = 16, MaxRepeat = 1000;

    private int _at;
    private int _depth;

    /// <summary>What the pattern means, or null for the empty one.</summary>
    public SplitNode? Parse()
    {
        if (pattern.Length > MaxLength)
            throw new SlipstreamException($"'{source}': a split pattern of {pattern.Length} characters is longer than the {MaxLength} that are supported.");
        Func<SplitNode?, SplitNode?> whole = Alternatives(false);
        return _at == pattern.Length ? whole(null) : throw Unsupported("an unmatched ')'");
    }

    public static SlipstreamException Unsupported(string pattern, string source, string construct) =>
        new($"'{source}': the split pattern '{TokenizerField.Shortened(pattern)}' needs {construct}, which is not supported; give token ids instead of text.");

    private SlipstreamException Unsupported(string construct) => Unsupported(pattern, source, construct);

    // Each parser returns a function from what follows to the node that begins the parsed part.
    private Func<SplitNode?, SplitNode?> Alternatives(bool foldCase)
    {
        if (++_depth > MaxDepth)
            throw Unsupported("deeper groups");
        List<Func<SplitNode?, SplitNode?>> branches = [Sequence(foldCase)];
        while (Take('|'))
            branches.Add(Sequence(foldCase));
        _depth--;
        return branches.Count == 1 ? branches[0] : Either(branches);
    }

    private static Func<SplitNode?, SplitNode?> Either(List<Func<SplitNode?, SplitNode?>> branches) =>
        next => new SplitNode { Kind = SplitNodeKind.Alternatives, Branches = [.. branches.Select(branch => branch(next))] };

    private Func<SplitNode?, SplitNode?> Sequence(bool foldCase)
    {
        List<Func<SplitNode?, SplitNode?>> parts = [];
        while (_at < pattern.Length && pattern[_at] is not ('|' or ')'))
            parts.Add(pattern[_at] == '(' ? Group(foldCase) : Repeated(foldCase));
        return next =>
        {
            for (int i = parts.Count - 1; i >= 0; i--)
                next = parts[i](next);
            return next;
        };
    }

    private Func<SplitNode?, SplitNode?> Group(bool foldCase)
    {
        _at++;
        bool? negatedAhead = null;
        if (Take("?:")) { }
        else if (Take("?i:"))
            foldCase = true;
        else if (Take("?!"))
            negatedAhead = true;
        else if (Take("?="))
            negatedAhead = false;
        else if (_at < pattern.Length && pattern[_at] == '?')
            throw Unsupported($"the group '({pattern.AsSpan(_at, Math.Min(3, pattern.Length - _at))}'");
        Func<SplitNode?, SplitNode?> body = Alternatives(foldCase);
        if (!Take(')'))
            throw Unsupported("an unclosed group");
        if (negatedAhead is { } negated)
            return next => new SplitNode { Kind = SplitNodeKind.Ahead, Branches = [body(null)], Negated = negated, Next = next };
        bool optional = Take('?');
        if (_at < pattern.Length && pattern[_at] is '?' or '*' or '+' or '{')
            throw Unsupported("a repeated group");
        return optional ? Either([body, next => next]) : body;
    }

    private Func<SplitNode?, SplitNode?> Repeated(bool foldCase)
    {
        CodePointSet set = Atom(foldCase);
        (int min, int max) = (1, 1);
        bool possessive = false;
        if (Take('?'))
            (min, max) = (0, 1);
        else if (Take('*'))
            (min, max) = (0, int.MaxValue);
        else if (Take('+'))
            (min, max) = (1, int.MaxValue);
        else if (_at < pattern.Length && pattern[_at] == '{')
            return Times(set);
        if (min != max)
        {
            possessive = Take('+');
            if (_at < pattern.Length && pattern[_at] == '?')
                throw Unsupported("a lazy repeat");
        }
        if (_at < pattern.Length && pattern[_at] is '*' or '+' or '?' or '{')
            throw Unsupported("a repeat of a repeat");
        return next => SplitNode.Repeat(set, min, max, possessive, next);
    }

    // {n}, {n,}, {,m} and {n,m}
    private Func<SplitNode?, SplitNode?> Times(CodePointSet set)
    {
        int close = pattern.IndexOf('}', _at);
        string[] bounds = close < 0 ? [] : pattern[(_at + 1)..close].Split(',');
        int min = 0, max = int.MaxValue;
        bool valid = bounds.Length is 1 or 2 && bounds.Any(bound => bound.Length > 0)
            && (bounds[0].Length == 0 || int.TryParse(bounds[0], NumberStyles.None, CultureInfo.InvariantCulture, out min))
            && (bounds[^1].Length == 0 || int.TryParse(bounds[^1], NumberStyles.None, CultureInfo.InvariantCulture, out max))
            && min <= max && min <= MaxRepeat && (max <= MaxRepeat || max == int.MaxValue);
        if (!valid)
            throw Unsupported($"the repeat '{pattern.AsSpan(_at, Math.Min(12, pattern.Length - _at))}'");
        _at = close + 1;
        if (_at < pattern.Length && pattern[_at] is '*' or '+' or '?' or '{')
            throw Unsupported("a repeat of a repeat");
        return next => SplitNode.Repeat(set, min, max, false, next);
    }

    private CodePointSet Atom(bool foldCase)
    {
        switch (pattern[_at])
        {
            case '[':
                return foldCase ? throw Unsupported("a class without regard to case") : Class();
            case '.':
                _at++;
                return new CodePointSet(0, [('\n', '\n')], [], true);
            case '\\':
                (CodePointSet? set, int escaped) = Escape(CodePointSet.LoneWord);
                return set ?? Single(escaped, foldCase);
            case '^' or '$' or '*' or '+' or '?' or '{' or '}' or ']':
                throw Unsupported($"'{pattern[_at]}' where it stands");
            default:
                return Single(CodePoint(), foldCase);
        }
    }

    private static CodePointSet Single(int codePoint, bool foldCase)
    {
        List<(int, int)> ranges = [(codePoint, codePoint)];
        if (foldCase)
        {
            Rune rune = new(codePoint);
            Add(Rune.ToLowerInvariant(rune).Value);
            Add(Rune.ToUpperInvariant(rune).Value);
            // Simple case folding joins these two with ASCII letters, although neither is the upper case of one.
            if (codePoint is 's' or 'S')
                Add(0x17F);
            if (codePoint is 'k' or 'K')
                Add(0x212A);
        }
        return new CodePointSet(0, [.. ranges], [], false);

        void Add(int other) => ranges.Add((other, other));
    }

    private CodePointSet Class()
    {
        _at++;
        bool negated = Take('^');
        List<(int First, int Last)> ranges = [];
        List<CodePointSet> parts = [];
        while (!Take(']'))
        {
            if (_at >= pattern.Length)
                throw Unsupported("an unclosed class");
            if (pattern[_at] == '[' || pattern.AsSpan(_at).StartsWith("&&"))
                throw Unsupported("a class within a class");
            (CodePointSet? set, int low) = pattern[_at] == '\\' ? Escape(CodePointSet.Word) : (null, CodePoint());
            if (set is not null)
            {
                parts.Add(set);
                continue;
            }
            int high = low;
            if (_at + 1 < pattern.Length && pattern[_at] == '-' && pattern[_at + 1] != ']')
            {
                _at++;
                (set, high) = pattern[_at] == '\\' ? Escape(CodePointSet.Word) : (null, CodePoint());
                if (set is not null || high < low)
                    throw Unsupported("a range that is no range");
            }
            ranges.Add((low, high));
        }
        if (ranges.Count + parts.Count == 0)
            throw Unsupported("an empty class");
        return new CodePointSet(0, [.. ranges], [.. parts], negated);
    }

    // A set, or else one code point.
    private (CodePointSet? Set, int CodePoint) Escape(CodePointSet word)
    {
        _at++;
        if (_at >= pattern.Length)
            throw Unsupported("a backslash at the end");
        char kind = pattern[_at++];
        return kind switch
        {
            's' => (CodePointSet.Space, 0),
            'S' => (Not(CodePointSet.Space), 0),
            'd' => (CodePointSet.Digit, 0),
            'D' => (Not(CodePointSet.Digit), 0),
            'w' => (word, 0),
            'W' => (Not(word), 0),
            'p' or 'P' => (Property(kind == 'P'), 0),
            'n' => (null, '\n'),
            'r' => (null, '\r'),
            't' => (null, '\t'),
            'f' => (null, '\f'),
            'v' => (null, '\v'),
            'x' or 'u' => (null, Hexadecimal(kind == 'u' ? 4 : 2)),
            _ when char.IsAscii(kind) && !char.IsAsciiLetterOrDigit(kind) => (null, kind),
            _ => throw Unsupported($"'\\{kind}'"),
        };
    }

    private static CodePointSet Not(CodePointSet set) => new(0, [], [set], true);

    private int Hexadecimal(int digits)
    {
        bool braces = Take('{');
        int end = braces ? pattern.IndexOf('}', _at) : _at + digits;
        if (end < 0 || end > pattern.Length
            || !int.TryParse(pattern.AsSpan(_at, end - _at), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value) || !Rune.IsValid(value)
            || (!braces && digits == 2 && value > 0x7F))
            throw Unsupported("an escape that is no code point");
        _at = end + (braces ? 1 : 0);
        return value;
    }

    private CodePointSet Property(bool negated)
    {
        string name;
        if (Take('{'))
        {
            negated ^= Take('^');
            int close = pattern.IndexOf('}', _at);
            name = close < 0 ? throw Unsupported("an unclosed '\\p{'") : pattern[_at..close];
            _at = close + 1;
        }
        else
            throw Unsupported("'\\p' without braces");
        uint categories = CodePointSet.Categories(name) ?? throw Unsupported($"the property '{name}'");
        return new CodePointSet(categories, [], [], negated);
    }

    private int CodePoint()
    {
        if (Rune.DecodeFromUtf16(pattern.AsSpan(_at), out Rune rune, out int consumed) != System.Buffers.OperationStatus.Done)
            throw Unsupported("a lone surrogate");
        _at += consumed;
        return rune.Value;
    }

    private bool Take(char expected)
    {
        if (_at >= pattern.Length || pattern[_at] != expected)
            return false;
        _at++;
        return true;
    }

    private bool Take(string expected)
    {
        if (!pattern.AsSpan(_at).StartsWith(expected, StringComparison.Ordinal))
            return false;
        _at += expected.Length;
        return true;
    }
}
