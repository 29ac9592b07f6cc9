using System.Runtime.Intrinsics;

namespace Slipstream.Sampling;

/// <summary>What a random number is for; numbers for different purposes are independent.</summary>
public enum RandomPurpose
{
    /// <summary>Drawing a token of the target.</summary>
    Token = 1,

    /// <summary>Accepting a draft token.</summary>
    Accept = 2,

    /// <summary>Drawing from the residual after a rejection.</summary>
    Residual = 3,

    /// <summary>Drawing a draft token.</summary>
    Draft = 4,

    /// <summary>Noise of the coupled verifier, one number a token of the vocabulary.</summary>
    Coupling = 5,
}

/// <summary>
/// Random numbers keyed by (seed, request-local index, position, purpose, item) and by nothing else, so that batching, scheduling and
/// speculation never change a sample. The generator is a counter-based hash: no state, no order.
/// </summary>
/// <param name="Seed">The request's seed.</param>
/// <param name="Index">Which of the request's sequences this is.</param>
public readonly record struct TokenRandom(ulong Seed, int Index)
{
    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    public double Uniform(int position, RandomPurpose purpose, int item = 0) => (Bits(position, purpose, item) >> 11) * (1.0 / (1UL << 53));

    /// <summary>Exponential noise with mean 1, over 0.</summary>
    /// <remarks>52 bits and a half: with 53 the half would be rounded away, and the noise could be 0.</remarks>
    public double Exponential(int position, RandomPurpose purpose, int item) => -Math.Log(((Bits(position, purpose, item) >> 12) + 0.5) * ExponentialScale);

    /// <summary>Turns 52 bits and a half into a number in (0, 1).</summary>
    internal const double ExponentialScale = 1.0 / (1UL << 52);

    /// <summary>The part of the key that is the same for every position and item.</summary>
    internal ulong StreamKey(RandomPurpose purpose) => Mix(Mix(Seed + 0x9E3779B97F4A7C15UL) ^ (((ulong)(uint)Index << 32) | (uint)purpose));

    private ulong Bits(int position, RandomPurpose purpose, int item) => Mix(StreamKey(purpose) ^ (((ulong)(uint)position << 32) | (uint)item));

    /// <summary>The finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford's mix), with the golden-ratio increment.</summary>
    internal static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15UL;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }

    /// <summary>The same for eight numbers.</summary>
    internal static Vector512<ulong> Mix(Vector512<ulong> x)
    {
        x += Vector512.Create(0x9E3779B97F4A7C15UL);
        x = (x ^ (x >>> 30)) * Vector512.Create(0xBF58476D1CE4E5B9UL);
        x = (x ^ (x >>> 27)) * Vector512.Create(0x94D049BB133111EBUL);
        return x ^ (x >>> 31);
    }
}
