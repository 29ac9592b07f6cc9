using System.Runtime.InteropServices;

namespace Slipstream.Numerics;

/// <summary>Little-endian 32-bit floats.</summary>
internal readonly struct F32 : IEncodableFormat
{
    public static string Name => "F32";

    public static int BlockLength => 1;

    public static int BlockBytes => 4;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        BlockCodec.Count<F32>(blocks.Length, destination.Length);
        blocks.CopyTo(MemoryMarshal.AsBytes(destination));
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        BlockCodec.Count<F32>(blocks.Length, source.Length);
        MemoryMarshal.AsBytes(source).CopyTo(blocks);
    }
}
