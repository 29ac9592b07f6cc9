using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>An instruction mix whose speed is a ceiling of the machine: it works on registers and the first-level cache alone.</summary>
/// <param name="Name">The instructions.</param>
/// <param name="Run">Runs that many rounds on this thread; the result depends on all of them.</param>
/// <param name="OperationsPerRound">Multiplications and additions of a round.</param>
internal sealed record PeakKernel(string Name, Func<int, long> Run, long OperationsPerRound);

/// <summary>
/// The fastest multiply-and-add loops that this build can run on this machine, to hold products against. A tier that adds an instruction adds a row here,
/// and the ceiling rises with it.
/// </summary>
internal static unsafe class PeakOperations
{
    private const int Accumulators = 12, VectorBytes = 64;

    /// <summary>Products of unsigned and signed bytes, summed to 32 bits.</summary>
    public static IReadOnlyList<PeakKernel> Int8 { get; } = [.. Int8Kernels()];

    /// <summary>Products of 32-bit floats.</summary>
    public static IReadOnlyList<PeakKernel> F32 { get; } = [.. F32Kernels()];

    /// <summary>Products of pairs of 16-bit floats, summed to 32 bits; empty where there is no instruction for it.</summary>
    public static IReadOnlyList<PeakKernel> Bf16 { get; } = [.. Bf16Kernels()];

    private static IEnumerable<PeakKernel> Int8Kernels()
    {
        if (EmittedKernels.HasAmx && AmxSupport.HasBytes) yield return new PeakKernel("tdpbusd, emitted", rounds => PeakKernels.Run(PeakKernels.TilesOfBytes, rounds), PeakKernels.TileOperations);
        if (EmittedKernels.IsAvailable && EmissionSupport.HasVnni512) yield return new PeakKernel("vpdpbusd zmm, emitted", rounds => PeakKernels.Run(PeakKernels.DotBytes, rounds), PeakKernels.Products * 2 * VectorBytes);
        if (Avx512BW.IsSupported) yield return new PeakKernel("vpmaddubsw zmm, sums of 16 bits", MultiplyAdd512, Accumulators * 2 * VectorBytes);
        if (AvxVnni.IsSupported) yield return new PeakKernel("vpdpbusd ymm", DotProduct256, Accumulators * 2 * VectorBytes / 2);
        if (Avx2.IsSupported) yield return new PeakKernel("vpmaddubsw ymm, sums of 16 bits", MultiplyAdd256, Accumulators * 2 * VectorBytes / 2);
        yield return new PeakKernel("portable", Portable8, 4 * 2 * Vector128<short>.Count);
    }

    private static IEnumerable<PeakKernel> Bf16Kernels()
    {
        if (EmittedKernels.HasAmx) yield return new PeakKernel("tdpbf16ps, emitted", rounds => PeakKernels.Run(PeakKernels.TilesOfHalves, rounds), PeakKernels.TileOperations / 2);
        if (EmittedKernels.IsAvailable && EmissionSupport.HasBf16) yield return new PeakKernel("vdpbf16ps zmm, emitted", rounds => PeakKernels.Run(PeakKernels.DotHalves, rounds), PeakKernels.Products * VectorBytes);
    }

    private static IEnumerable<PeakKernel> F32Kernels()
    {
        if (Avx512F.IsSupported) yield return new PeakKernel("vfmadd zmm", MultiplyAddFloats512, Accumulators * 2 * Vector512<float>.Count);
        yield return new PeakKernel("vfmadd ymm or portable", MultiplyAddFloats256, Accumulators * 2 * Vector256<float>.Count);
    }

    // Weights come from memory, as in a product; with both factors in registers the compiler would multiply once, before the loop.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static long MultiplyAdd512(int rounds)
    {
        // SAFETY: twelve vectors are read from a block of twelve.
        byte* weights = stackalloc byte[Accumulators * VectorBytes];
        Fill(weights, Accumulators * VectorBytes);
        Vector512<sbyte> x = Vector512.Create((sbyte)1), y = Vector512.Create((sbyte)-1);
        Vector512<short> a = default, b = default, c = default, d = default, e = default, f = default;
        for (int i = 0; i < rounds; i++)
        {
            a += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights), x);
            b += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 64), x);
            c += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 128), x);
            d += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 192), x);
            e += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 256), x);
            f += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 320), x);
            a += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 384), y);
            b += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 448), y);
            c += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 512), y);
            d += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 576), y);
            e += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 640), y);
            f += Avx512BW.MultiplyAddAdjacent(Vector512.Load(weights + 704), y);
        }
        return Vector512.Sum(a + b + c + (d + e + f));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static long MultiplyAdd256(int rounds)
    {
        // SAFETY: twelve half vectors are read from a block of twelve vectors.
        byte* weights = stackalloc byte[Accumulators * VectorBytes];
        Fill(weights, Accumulators * VectorBytes);
        Vector256<sbyte> x = Vector256.Create((sbyte)1), y = Vector256.Create((sbyte)-1);
        Vector256<short> a = default, b = default, c = default, d = default, e = default, f = default;
        for (int i = 0; i < rounds; i++)
        {
            a += Avx2.MultiplyAddAdjacent(Vector256.Load(weights), x);
            b += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 32), x);
            c += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 64), x);
            d += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 96), x);
            e += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 128), x);
            f += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 160), x);
            a += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 192), y);
            b += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 224), y);
            c += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 256), y);
            d += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 288), y);
            e += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 320), y);
            f += Avx2.MultiplyAddAdjacent(Vector256.Load(weights + 352), y);
        }
        return Vector256.Sum(a + b + c + (d + e + f));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static long DotProduct256(int rounds)
    {
        Vector256<byte> w = Vector256.Create((byte)1);
        Vector256<sbyte> x = Vector256.Create((sbyte)(rounds | 1));
        Vector256<int> a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default, j = default, k = default, l = default, m = default;
        for (int i = 0; i < rounds; i++)
        {
            a = AvxVnni.MultiplyWideningAndAdd(a, w, x);
            b = AvxVnni.MultiplyWideningAndAdd(b, w, x);
            c = AvxVnni.MultiplyWideningAndAdd(c, w, x);
            d = AvxVnni.MultiplyWideningAndAdd(d, w, x);
            e = AvxVnni.MultiplyWideningAndAdd(e, w, x);
            f = AvxVnni.MultiplyWideningAndAdd(f, w, x);
            g = AvxVnni.MultiplyWideningAndAdd(g, w, x);
            h = AvxVnni.MultiplyWideningAndAdd(h, w, x);
            j = AvxVnni.MultiplyWideningAndAdd(j, w, x);
            k = AvxVnni.MultiplyWideningAndAdd(k, w, x);
            l = AvxVnni.MultiplyWideningAndAdd(l, w, x);
            m = AvxVnni.MultiplyWideningAndAdd(m, w, x);
        }
        return Vector256.Sum(a + b + c + d + e + f + (g + h + j + k + l + m));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static long Portable8(int rounds)
    {
        Vector128<short> x = Vector128.Create((short)(rounds | 1)), a = x, b = x + x, c = a + b, d = b + c;
        for (int i = 0; i < rounds; i++)
        {
            a = a * x + x;
            b = b * x + x;
            c = c * x + x;
            d = d * x + x;
        }
        return Vector128.Sum(a + b + c + d);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static long MultiplyAddFloats512(int rounds)
    {
        Vector512<float> w = Vector512.Create(0.5f), x = Vector512.Create(1f / (rounds | 1));
        Vector512<float> a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default, j = default, k = default, l = default, m = default;
        for (int i = 0; i < rounds; i++)
        {
            a = Vector512.FusedMultiplyAdd(w, x, a);
            b = Vector512.FusedMultiplyAdd(w, x, b);
            c = Vector512.FusedMultiplyAdd(w, x, c);
            d = Vector512.FusedMultiplyAdd(w, x, d);
            e = Vector512.FusedMultiplyAdd(w, x, e);
            f = Vector512.FusedMultiplyAdd(w, x, f);
            g = Vector512.FusedMultiplyAdd(w, x, g);
            h = Vector512.FusedMultiplyAdd(w, x, h);
            j = Vector512.FusedMultiplyAdd(w, x, j);
            k = Vector512.FusedMultiplyAdd(w, x, k);
            l = Vector512.FusedMultiplyAdd(w, x, l);
            m = Vector512.FusedMultiplyAdd(w, x, m);
        }
        return BitConverter.SingleToInt32Bits(Vector512.Sum(a + b + c + d + e + f + (g + h + j + k + l + m)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static long MultiplyAddFloats256(int rounds)
    {
        Vector256<float> w = Vector256.Create(0.5f), x = Vector256.Create(1f / (rounds | 1));
        Vector256<float> a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default, j = default, k = default, l = default, m = default;
        for (int i = 0; i < rounds; i++)
        {
            a = Vector256.MultiplyAddEstimate(w, x, a);
            b = Vector256.MultiplyAddEstimate(w, x, b);
            c = Vector256.MultiplyAddEstimate(w, x, c);
            d = Vector256.MultiplyAddEstimate(w, x, d);
            e = Vector256.MultiplyAddEstimate(w, x, e);
            f = Vector256.MultiplyAddEstimate(w, x, f);
            g = Vector256.MultiplyAddEstimate(w, x, g);
            h = Vector256.MultiplyAddEstimate(w, x, h);
            j = Vector256.MultiplyAddEstimate(w, x, j);
            k = Vector256.MultiplyAddEstimate(w, x, k);
            l = Vector256.MultiplyAddEstimate(w, x, l);
            m = Vector256.MultiplyAddEstimate(w, x, m);
        }
        return BitConverter.SingleToInt32Bits(Vector256.Sum(a + b + c + d + e + f + (g + h + j + k + l + m)));
    }

    private static void Fill(byte* target, int bytes)
    {
        for (int i = 0; i < bytes; i++) target[i] = (byte)(1 + i % 100);
    }
}

/// <summary>Runs a peak kernel on every thread at once.</summary>
/// <param name="kernel">What to run.</param>
/// <param name="rounds">Rounds of each unit of work.</param>
internal struct PeakJob(PeakKernel kernel, int rounds) : IRangeJob
{
    private long _sum;

    /// <summary>A result of every round, so that none can be left out.</summary>
    public readonly long Sum => _sum;

    /// <inheritdoc/>
    public void Execute(int from, int to, int worker)
    {
        for (int i = from; i < to; i++) Interlocked.Add(ref _sum, kernel.Run(rounds));
    }
}
