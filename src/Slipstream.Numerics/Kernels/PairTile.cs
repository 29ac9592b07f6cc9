using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Products of weights in the <see cref="PairLayout"/> and activations rounded to bfloat16, with the vector instructions .NET exposes: the element order of the emitted kernels, on widened values.</summary>
internal static unsafe class PairTile
{
    /// <summary>The most rows of activations in a call: as many sums as registers hold.</summary>
    public static int Rows { get; } = Vector512.IsHardwareAccelerated ? 6 : 4;

    private const int Ahead = 4096; // Bytes; each line is asked for once.
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Computes <paramref name="rows"/> rows, 1 to <see cref="Rows"/>, of a call of one tile, whose activations are floats in the order of <see cref="PairProduct"/>.</summary>
    public static void Multiply(in PackedCall call, int rows)
    {
        // SAFETY: the call's rows are as wide as its steps, padded to whole ones of 32 columns; results have room for the rows.
        // Some rows cost less as a full set with the last done more than once than one by one.
        if (rows > 4) Six(in call, rows - 1);
        else if (rows > 1) Four(in call, rows - 1);
        else One(in call);
    }

    // SAFETY: (all below) as above.
    [MethodImpl(KernelCode)]
    private static void One(in PackedCall call)
    {
        byte* weights = call.Weights, x0 = call.Activations;
        nint pairs = call.Blocks * PairLayout.StepPairs;
        Vector512<float> s0 = default;
        for (nint pair = 0; pair < pairs; pair++, weights += PairLayout.PairBytes)
        {
            Lines.Ask(weights, Ahead);
            Vector512<uint> both = Vector512.Load((uint*)weights);
            Vector512<float> odd = Odd(both), even = Even(both);
            s0 = Add(s0, odd, even, At(x0, pair));
        }
        s0.Store(call.Results);
    }

    [MethodImpl(KernelCode)]
    private static void Four(in PackedCall call, int last)
    {
        byte* weights = call.Weights, x0 = Row(in call, 0, last), x1 = Row(in call, 1, last), x2 = Row(in call, 2, last), x3 = Row(in call, 3, last);
        nint pairs = call.Blocks * PairLayout.StepPairs;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        for (nint pair = 0; pair < pairs; pair++, weights += PairLayout.PairBytes)
        {
            Lines.Ask(weights, Ahead);
            Vector512<uint> both = Vector512.Load((uint*)weights);
            Vector512<float> odd = Odd(both), even = Even(both);
            s0 = Add(s0, odd, even, At(x0, pair));
            s1 = Add(s1, odd, even, At(x1, pair));
            s2 = Add(s2, odd, even, At(x2, pair));
            s3 = Add(s3, odd, even, At(x3, pair));
        }
        s0.Store(call.Results);
        s1.Store(call.Results + PackedLayout.Rows);
        s2.Store(call.Results + PackedLayout.Rows * Math.Min(2, last));
        s3.Store(call.Results + PackedLayout.Rows * Math.Min(3, last));
    }

    [MethodImpl(KernelCode)]
    private static void Six(in PackedCall call, int last)
    {
        byte* weights = call.Weights, x0 = Row(in call, 0, last), x1 = Row(in call, 1, last), x2 = Row(in call, 2, last), x3 = Row(in call, 3, last), x4 = Row(in call, 4, last), x5 = Row(in call, 5, last);
        nint pairs = call.Blocks * PairLayout.StepPairs;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default;
        for (nint pair = 0; pair < pairs; pair++, weights += PairLayout.PairBytes)
        {
            Lines.Ask(weights, Ahead);
            Vector512<uint> both = Vector512.Load((uint*)weights);
            Vector512<float> odd = Odd(both), even = Even(both);
            s0 = Add(s0, odd, even, At(x0, pair));
            s1 = Add(s1, odd, even, At(x1, pair));
            s2 = Add(s2, odd, even, At(x2, pair));
            s3 = Add(s3, odd, even, At(x3, pair));
            s4 = Add(s4, odd, even, At(x4, pair));
            s5 = Add(s5, odd, even, At(x5, pair));
        }
        s0.Store(call.Results);
        s1.Store(call.Results + PackedLayout.Rows);
        s2.Store(call.Results + PackedLayout.Rows * Math.Min(2, last));
        s3.Store(call.Results + PackedLayout.Rows * Math.Min(3, last));
        s4.Store(call.Results + PackedLayout.Rows * Math.Min(4, last));
        s5.Store(call.Results + PackedLayout.Rows * Math.Min(5, last));
    }

    /// <summary>A row of activations, or the last.</summary>
    private static byte* Row(in PackedCall call, int row, int last) => call.Activations + Math.Min(row, last) * call.TileBytes;

    /// <summary>The odd column of a pair; the even one lies sixteen floats on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float* At(byte* x, nint pair) => (float*)x + pair + (pair & ~(nint)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Odd(Vector512<uint> both) => (both & Vector512.Create(0xFFFF_0000u)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Even(Vector512<uint> both) => (both << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> sum, Vector512<float> odd, Vector512<float> even, float* x)
        => Vector512.FusedMultiplyAdd(even, Vector512.Create(x[Lanes.Count]), Vector512.FusedMultiplyAdd(odd, Vector512.Create(x[0]), sum));
}
