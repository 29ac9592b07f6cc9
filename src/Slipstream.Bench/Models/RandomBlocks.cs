using System.Buffers.Binary;
using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>Random blocks of a format: any codes, and scales that make weights of about 0.03, so that activations stay finite. Tensors are copies of parts of one pool.</summary>
internal sealed class RandomBlocks
{
    private const int PoolBytes = 8 << 20;

    // Where a block has its scales (16-bit floats), and what they are; sources: the block structures of ggml.
    private static readonly Dictionary<string, (int Offset, float Value)[]> Scales = new()
    {
        ["Q8_0"] = [(0, 4e-4f)],
        ["Q4_0"] = [(0, 6e-3f)],
        ["Q4_1"] = [(0, 6e-3f), (2, -0.045f)],
        ["Q5_0"] = [(0, 3e-3f)],
        ["Q5_1"] = [(0, 3e-3f), (2, -0.047f)],
        ["Q4_K"] = [(0, 2e-4f), (2, 1.5e-3f)],
        ["Q5_K"] = [(0, 1e-4f), (2, 1.5e-3f)],
        ["Q6_K"] = [(208, 2e-5f)],
    };

    private readonly byte[] _pool;
    private readonly int _blockBytes;

    private RandomBlocks(byte[] pool, int blockBytes) => (_pool, _blockBytes) = (pool, blockBytes);

    /// <summary>Makes a pool; the same one each time.</summary>
    /// <exception cref="SlipstreamException">There is no recipe for the format.</exception>
    public static RandomBlocks Of(WeightFormat format)
    {
        Random random = new(format.GgmlType);
        byte[] pool = new byte[PoolBytes / format.BlockBytes * format.BlockBytes];
        if (format is { BlockLength: 1, Encode: { } encode })
        {
            float[] values = new float[pool.Length / format.BlockBytes];
            for (int i = 0; i < values.Length; i++) values[i] = 0.1f * (random.NextSingle() - 0.5f);
            encode(values, pool);
            return new RandomBlocks(pool, format.BlockBytes);
        }
        if (!Scales.TryGetValue(format.Name, out (int Offset, float Value)[]? scales)) throw new SlipstreamException($"Random weights cannot be made in the format {format.Name}.");
        random.NextBytes(pool);
        for (int block = 0; block < pool.Length; block += format.BlockBytes)
            foreach ((int offset, float value) in scales)
                BinaryPrimitives.WriteHalfLittleEndian(pool.AsSpan(block + offset), (Half)(value * (0.75f + 0.5f * random.NextSingle())));
        return new RandomBlocks(pool, format.BlockBytes);
    }

    /// <summary>Fills whole blocks.</summary>
    /// <param name="destination">A multiple of the block's bytes.</param>
    /// <param name="random">Says where in the pool the copies begin.</param>
    public void Fill(Span<byte> destination, Random random)
    {
        while (!destination.IsEmpty)
        {
            int start = random.Next(_pool.Length / _blockBytes / 2) * _blockBytes, length = Math.Min(_pool.Length - start, destination.Length);
            _pool.AsSpan(start, length).CopyTo(destination);
            destination = destination[length..];
        }
    }
}
