using System.Collections.Immutable;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>Which two floats of a head turn together.</summary>
public enum RotaryPairing
{
    /// <summary>i and i + d/2, as in GPT-NeoX and Hugging Face checkpoints.</summary>
    Halves,

    /// <summary>2i and 2i + 1, as in the original Llama and its GGUF files.</summary>
    Interleaved,
}

/// <summary>Rotary position embedding (Su et al., arXiv:2104.09864).</summary>
/// <param name="Base">The base of the frequencies.</param>
/// <param name="Dimensions">Floats of a head that are rotated; even.</param>
/// <param name="Pairing">Which floats turn together.</param>
/// <param name="Scaling">How the frequencies are stretched.</param>
public sealed record RotaryConfig(double Base, int Dimensions, RotaryPairing Pairing, RotaryScaling? Scaling = null);

/// <summary>Stretches rotary frequencies for longer contexts.</summary>
public abstract record RotaryScaling
{
    private protected RotaryScaling() { }

    /// <summary>Changes the inverse frequencies, <c>[dimensions / 2]</c>.</summary>
    internal abstract void Apply(Span<float> inverseFrequencies);
}

/// <summary>All frequencies divided by one factor (position interpolation, arXiv:2306.15595).</summary>
public sealed record LinearRotaryScaling(double Factor) : RotaryScaling
{
    internal override void Apply(Span<float> inverseFrequencies)
    {
        foreach (ref float f in inverseFrequencies) f /= (float)Factor;
    }
}

/// <summary>Llama 3.1's scaling: low frequencies divided, high ones kept, a ramp between.</summary>
public sealed record Llama3RotaryScaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext) : RotaryScaling
{
    internal override void Apply(Span<float> inverseFrequencies)
    {
        double longest = OriginalContext / LowFrequencyFactor, shortest = OriginalContext / HighFrequencyFactor;
        foreach (ref float f in inverseFrequencies)
        {
            double wavelength = 2 * Math.PI / f;
            if (wavelength < shortest) continue;
            double smooth = (OriginalContext / wavelength - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor);
            f = (float)(wavelength > longest ? f / Factor : (1 - smooth) * f / Factor + smooth * f);
        }
    }
}

/// <summary>One divisor a frequency, as GGUF files keep in <c>rope_freqs.weight</c>.</summary>
public sealed record FactorsRotaryScaling(ImmutableArray<float> Factors) : RotaryScaling
{
    internal override void Apply(Span<float> inverseFrequencies)
    {
        for (int i = 0; i < inverseFrequencies.Length; i++) inverseFrequencies[i] /= Factors[i];
    }
}

/// <summary>Angles of a batch, computed once for all layers, and the rotation itself.</summary>
internal sealed class Rotary
{
    private readonly RotaryConfig _config;
    private readonly float[] _inverseFrequencies;

    public Rotary(RotaryConfig config)
    {
        _config = config;
        _inverseFrequencies = new float[config.Dimensions / 2];
        for (int i = 0; i < _inverseFrequencies.Length; i++)
            _inverseFrequencies[i] = (float)(1.0 / Math.Pow(config.Base, 2.0 * i / config.Dimensions));
        config.Scaling?.Apply(_inverseFrequencies);
    }

    /// <summary>Whether every frequency is a finite number; a scaling that divides by zero gives others.</summary>
    public bool IsFinite => Array.TrueForAll(_inverseFrequencies, float.IsFinite);

    /// <summary>Floats an angle row takes: cosines, then sines.</summary>
    public int AngleWidth => _config.Dimensions;

    /// <summary>Writes the cosines and sines of one position, <c>[AngleWidth]</c>.</summary>
    public void Angles(int position, Span<float> angles)
    {
        int half = _inverseFrequencies.Length;
        for (int i = 0; i < half; i++)
            (angles[half + i], angles[i]) = MathF.SinCos(position * _inverseFrequencies[i]);
    }

    /// <summary>Rotates every head of a row in place.</summary>
    public void Apply(Span<float> heads, int headSize, ReadOnlySpan<float> angles)
    {
        int half = _inverseFrequencies.Length;
        ReadOnlySpan<float> cos = angles[..half], sin = angles.Slice(half, half);
        for (int h = 0; h < heads.Length; h += headSize)
        {
            Span<float> head = heads.Slice(h, _config.Dimensions);
            if (_config.Pairing == RotaryPairing.Halves) RotaryKernel.Halves(head[..half], head[half..], cos, sin);
            else RotaryKernel.Interleaved(head, cos, sin);
        }
    }
}
