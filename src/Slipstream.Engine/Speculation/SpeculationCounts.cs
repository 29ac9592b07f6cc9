namespace Slipstream.Speculation;

/// <summary>What became of a sequence's drafts. Terms as in <c>docs/techniques/speculative-decoding.md</c>.</summary>
public sealed class SpeculationCounts
{
    private int[] _draftedAt = new int[16], _acceptedAt = new int[16];
    private int _depth;

    /// <summary>Tokens drafted.</summary>
    public long Drafted { get; private set; }

    /// <summary>Drafted tokens that were judged: those accepted and the first one rejected after them.</summary>
    public long Evaluated { get; private set; }

    /// <summary>Drafted tokens that stand in the output.</summary>
    public long Accepted { get; private set; }

    /// <summary>Steps that gave tokens, with a draft or without.</summary>
    public long Verifications { get; private set; }

    /// <summary>Tokens generated.</summary>
    public long Tokens { get; private set; }

    /// <summary>Tokens a verification gave on average.</summary>
    public double TokensPerVerification => Verifications == 0 ? 0 : (double)Tokens / Verifications;

    /// <summary>Accepted / evaluated: the chance of one judged token.</summary>
    public double AcceptanceRate => Evaluated == 0 ? 0 : (double)Accepted / Evaluated;

    /// <summary>Accepted / drafted.</summary>
    public double DraftEfficiency => Drafted == 0 ? 0 : (double)Accepted / Drafted;

    /// <summary>Drafted and accepted tokens by depth: how many were drafted first, second, …</summary>
    public IReadOnlyList<(int Drafted, int Accepted)> PerPosition
        => [.. Enumerable.Range(0, _depth).Select(i => (_draftedAt[i], _acceptedAt[i]))];

    internal void AddVerification(int drafted, int evaluated, int accepted, int tokens)
    {
        Drafted += drafted;
        Evaluated += evaluated;
        Accepted += accepted;
        Tokens += tokens;
        Verifications++;
    }

    internal void AddNode(int depth, bool accepted)
    {
        if (depth >= _draftedAt.Length)
        {
            Array.Resize(ref _draftedAt, depth * 2);
            Array.Resize(ref _acceptedAt, depth * 2);
        }
        _depth = Math.Max(_depth, depth + 1);
        _draftedAt[depth]++;
        if (accepted) _acceptedAt[depth]++;
    }
}
