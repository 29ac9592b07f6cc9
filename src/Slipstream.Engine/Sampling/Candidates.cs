using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Sampling;

/// <summary>
/// The tokens still in the running and their weights, <c>exp(score − best score)</c>: what the truncating filters work on. A token is a
/// 64-bit key whose order is by score, then by lower token: among equal scores the lower token is the better, as it is for greedy.
/// </summary>
internal sealed class Candidates
{
    private ulong[] _keys = [];
    private float[] _weights = [];
    private ulong[] _otherKeys = [];
    private float[] _otherWeights = [];

    /// <summary>How many tokens are left.</summary>
    public int Count { get; private set; }

    /// <summary>The best score of the row that was loaded.</summary>
    public float Best { get; private set; }

    /// <summary>The weight of all candidates; after loading with a floor, of the whole row.</summary>
    public double Total { get; private set; }

    /// <summary>The weights, in the order of the candidates.</summary>
    public ReadOnlySpan<float> Weights => _weights.AsSpan(0, Count);

    /// <summary>The score of a candidate.</summary>
    public float Score(int candidate) => ScoreOf(_keys[candidate]);

    /// <summary>Loads the tokens with the <paramref name="k"/> largest scores and those that tie with the last of them.</summary>
    public void LoadTop(ReadOnlySpan<float> row, float best, int k)
    {
        Reserve(row.Length);
        // Collect what beats the k-th best so far; whenever twice k are there, cut back to k. Linear whatever the order of the row.
        int room = (int)Math.Min(row.Length, Math.Max(2L * k, 512)), count = 0;
        float floor = float.NegativeInfinity;
        ref float r = ref MemoryMarshal.GetReference(row);
        for (int i = 0; i < row.Length; i += 16)
        {
            int lanes = Math.Min(16, row.Length - i);
            ulong found = lanes == 16
                ? Vector512.GreaterThan(Vector512.LoadUnsafe(ref r, (nuint)i), Vector512.Create(floor)).ExtractMostSignificantBits()
                : (1UL << lanes) - 1;
            for (; found != 0; found &= found - 1)
            {
                int token = i + BitOperations.TrailingZeroCount(found);
                float score = row[token];
                if (!(score > floor)) continue;
                if (count == room && count > k)
                {
                    Selection.TakeLargest(_keys.AsSpan(0, count), k);
                    count = k;
                    floor = ScoreOf(_keys[k - 1]);
                    if (!(score > floor)) continue;
                }
                _keys[count++] = Key(score, token);
            }
        }
        if (count > k)
        {
            Selection.TakeLargest(_keys.AsSpan(0, count), k);
            count = k;
        }
        floor = count < k ? float.NegativeInfinity : float.PositiveInfinity;
        for (int i = 0; i < count && count == k; i++) floor = MathF.Min(floor, ScoreOf(_keys[i]));
        Load(row, best, floor);
    }

    /// <summary>Loads the tokens with a finite score of at least <paramref name="floor"/>.</summary>
    /// <param name="row"><c>[vocabulary]</c> scores.</param>
    /// <param name="best">The largest of them.</param>
    /// <param name="floor">A score, or −∞ to load every token that is not excluded.</param>
    public void Load(ReadOnlySpan<float> row, float best, float floor)
    {
        Reserve(row.Length);
        int count = 0;
        ref float r = ref MemoryMarshal.GetReference(row);
        // −∞ is an excluded token, so the floor is never under the lowest finite number.
        Vector512<float> least = Vector512.Create(MathF.Max(floor, float.MinValue));
        int i = 0;
        for (; i + 16 <= row.Length; i += 16)
            for (ulong found = Vector512.GreaterThanOrEqual(Vector512.LoadUnsafe(ref r, (nuint)i), least).ExtractMostSignificantBits(); found != 0; found &= found - 1)
            {
                int token = i + BitOperations.TrailingZeroCount(found);
                _keys[count] = Key(row[token], token);
                _weights[count++] = row[token];
            }
        for (; i < row.Length; i++)
        {
            if (!(row[i] >= least[0])) continue;
            _keys[count] = Key(row[i], i);
            _weights[count++] = row[i];
        }
        (Count, Best) = (count, best);
        Total = RowMath.Exp(_weights.AsSpan(0, count), best);
    }

    /// <summary>Says how much weight the whole row has, where the floor of <see cref="Load"/> left some out.</summary>
    public void SetTotal(double total) => Total = total;

    /// <summary>Keeps candidates, best first, while the weight of those before is under <paramref name="mass"/>.</summary>
    public void KeepMass(double mass)
    {
        Count = Selection.TakeMass(_keys.AsSpan(0, Count), _weights.AsSpan(0, Count), mass);
        Total = RowMath.Sum(Weights);
    }

    /// <summary>Keeps candidates whose weight is at least <paramref name="floor"/>, and the best with its ties.</summary>
    public void KeepWeight(double floor)
    {
        uint best = 0;
        foreach (ulong key in _keys.AsSpan(0, Count)) best = Math.Max(best, (uint)(key >> 32));
        int kept = 0;
        for (int i = 0; i < Count; i++)
        {
            (ulong key, float weight) = (_keys[i], _weights[i]);
            (_keys[kept], _weights[kept]) = (key, weight);
            kept += weight >= floor | (uint)(key >> 32) >= best ? 1 : 0;
        }
        Count = kept;
        Total = RowMath.Sum(Weights);
    }

    /// <summary>
    /// Keeps the candidates whose score, relative to the best, is nearest to <paramref name="center"/> until they hold
    /// <paramref name="mass"/>, and those as near as the last.
    /// </summary>
    public void KeepNearest(float center, double mass)
    {
        if (_otherKeys.Length < _keys.Length) (_otherKeys, _otherWeights) = (new ulong[_keys.Length], new float[_keys.Length]);
        Span<ulong> keys = _otherKeys.AsSpan(0, Count);
        // Distances are not negative, so their bits order as they do; complemented, the nearest is the largest.
        for (int i = 0; i < Count; i++) keys[i] = ((ulong)~BitConverter.SingleToUInt32Bits(MathF.Abs(Score(i) - Best - center)) << 32) | (uint)~i;
        Weights.CopyTo(_otherWeights);
        int last = Selection.TakeMass(keys, _otherWeights.AsSpan(0, Count), mass) - 1;
        float furthest = BitConverter.UInt32BitsToSingle(~(uint)(keys[last] >> 32));
        int kept = 0;
        for (int i = 0; i < Count; i++)
        {
            float distance = MathF.Abs(Score(i) - Best - center);
            (_keys[kept], _weights[kept]) = (_keys[i], _weights[i]);
            kept += distance <= furthest ? 1 : 0;
        }
        Count = kept;
        Total = RowMath.Sum(Weights);
    }

    /// <summary>Shannon entropy of the candidates, in nats.</summary>
    public double Entropy()
    {
        double sum = 0;
        for (int i = 0; i < Count; i++) sum += _weights[i] * (double)(Score(i) - Best);
        return Math.Log(Total) - sum / Total;
    }

    /// <summary>Writes the candidates' probabilities into the row, and 0 everywhere else.</summary>
    public void Write(Span<float> row)
    {
        row.Clear();
        double scale = 1 / Total;
        for (int i = 0; i < Count; i++) row[~(int)_keys[i]] = (float)(_weights[i] * scale);
    }

    private void Reserve(int vocabulary)
    {
        if (_keys.Length < vocabulary) (_keys, _weights) = (new ulong[vocabulary], new float[vocabulary]);
    }

    private static ulong Key(float score, int token)
    {
        // + 0 makes −0 equal to 0, as comparison has it.
        uint bits = BitConverter.SingleToUInt32Bits(score + 0f);
        return ((ulong)((int)bits < 0 ? ~bits : bits | 0x8000_0000u) << 32) | (uint)~token;
    }

    private static float ScoreOf(ulong key)
    {
        uint bits = (uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle((int)bits < 0 ? bits & 0x7FFF_FFFFu : ~bits);
    }
}
