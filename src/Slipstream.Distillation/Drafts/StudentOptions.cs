using System.Collections.Immutable;
using System.Globalization;
using Slipstream.Distillation.Torch;

namespace Slipstream.Distillation.Drafts;

/// <summary>The student that is asked for: sizes that differ from the target's, and where its weights come from.</summary>
internal sealed record StudentOptions
{
    private static readonly string[] Names = ["layers", "hidden", "heads", "kv-heads", "intermediate", "vocabulary", "init"];

    /// <summary>Layers; null for a quarter of the target's, at least one.</summary>
    public int? Layers { get; init; }

    /// <summary>Width; null for the target's.</summary>
    public int? Hidden { get; init; }

    /// <summary>Query heads; null for as many as keep the target's head size, or its own number at its width.</summary>
    public int? Heads { get; init; }

    /// <summary>Key-value heads; null for the target's share.</summary>
    public int? KvHeads { get; init; }

    /// <summary>Width of the feed-forward part; null for the target's share of the width.</summary>
    public int? Intermediate { get; init; }

    /// <summary>Tokens that the head has rows for, the most frequent ones of the text; null for all.</summary>
    public int? Vocabulary { get; init; }

    /// <summary>Whether nothing is taken from the target.</summary>
    public bool IsRandom { get; init; }

    /// <summary>Reads <c>layers=2,hidden=128,heads=4,kv-heads=2,intermediate=352,vocabulary=8192,init=random</c>; what is left out follows the target.</summary>
    /// <exception cref="SlipstreamException">A name or a value is not known.</exception>
    public static StudentOptions Parse(string text)
    {
        Dictionary<string, string> values = new(StringComparer.Ordinal);
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = item.Split('=', 2, StringSplitOptions.TrimEntries);
            if (pair.Length != 2 || !Names.Contains(pair[0]))
                throw new SlipstreamException($"--student is '{text}', which is neither a model folder nor sizes such as layers=2,hidden=128 (known: {string.Join(", ", Names)}).");
            if (!values.TryAdd(pair[0], pair[1])) throw new SlipstreamException($"--student names '{pair[0]}' twice; give it once.");
        }
        if (values.TryGetValue("init", out string? init) && init is not ("target" or "random")) throw new SlipstreamException($"--student: init is '{init}'; it must be target or random.");
        return new StudentOptions { Layers = Number("layers"), Hidden = Number("hidden"), Heads = Number("heads"), KvHeads = Number("kv-heads"), Intermediate = Number("intermediate"), Vocabulary = Number("vocabulary"), IsRandom = init == "random" };

        int? Number(string name) => !values.TryGetValue(name, out string? value) ? null
            : int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0 ? number
            : throw new SlipstreamException($"--student: {name} is '{value}'; it must be a whole number of at least 1.");
    }

    /// <summary>The sizes beside a target.</summary>
    /// <param name="target">The target's.</param>
    /// <param name="outputTokens">The tokens of the head, ascending; empty for all.</param>
    /// <exception cref="SlipstreamException">They do not fit each other.</exception>
    public LlamaShape Shape(LlamaShape target, ImmutableArray<int> outputTokens)
    {
        int hidden = Hidden ?? target.Hidden;
        int heads = Heads ?? (hidden == target.Hidden ? target.Heads : Math.Max(1, hidden / target.HeadSize));
        if (heads > hidden || hidden % heads != 0) throw new SlipstreamException($"--student: a width of {hidden} cannot be shared by {heads} heads evenly; give heads= that divide it.");
        int kvHeads = KvHeads ?? (heads == target.Heads ? target.KvHeads : Divisor(heads, Math.Max(1, heads * target.KvHeads / target.Heads)));
        return (target with
        {
            Layers = Layers ?? Math.Max(1, target.Layers / 4), Hidden = hidden, Heads = heads, KvHeads = kvHeads, HeadSize = heads == target.Heads && hidden == target.Hidden ? target.HeadSize : hidden / heads,
            Intermediate = Intermediate ?? (hidden == target.Hidden ? target.Intermediate : Math.Max(32, (int)((long)hidden * target.Intermediate / target.Hidden / 32 * 32))),
            TiedHead = target.TiedHead && outputTokens.IsEmpty, OutputTokens = outputTokens,
        }).Checked();
    }

    private static int Divisor(int heads, int wanted)
    {
        while (heads % wanted != 0) wanted--;
        return wanted;
    }
}
