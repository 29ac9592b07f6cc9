using System.Buffers.Binary;
using System.Text;

namespace Slipstream.Distillation.Torch;

/// <summary>Edits the versions that a 64-bit ELF library asks of others (<c>.gnu.version_r</c>).</summary>
/// <remarks>Source: Linux Standard Base 5.0, "Symbol Versioning": <c>Elfxx_Verneed</c> and <c>Elfxx_Vernaux</c>.</remarks>
internal static class ElfVersionNeeds
{
    private const uint SectionVersionNeeds = 0x6ffffffe;
    private const ushort Weak = 2;

    /// <summary>
    /// Marks a needed version as weak: the loader then accepts a library without it, and a symbol of that version fails only where it is used.
    /// </summary>
    /// <param name="library">The file, changed in place.</param>
    /// <param name="version">The version, such as <c>GLIBCXX_3.4.32</c>.</param>
    /// <returns>How many needs were marked; 0 where the file is no such library or does not ask for the version.</returns>
    public static int Weaken(Span<byte> library, string version)
    {
        // 0x7F 'E' 'L' 'F', 64 bits, little-endian.
        if (library.Length < 64 || !library[..6].SequenceEqual((ReadOnlySpan<byte>)[0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1])) return 0;
        try
        {
            return WeakenSections(library, Encoding.ASCII.GetBytes(version + "\0"));
        }
        catch (Exception e) when (e is ArgumentOutOfRangeException or OverflowException)
        {
            // A damaged table points outside the file.
            return 0;
        }
    }

    private static int WeakenSections(Span<byte> file, ReadOnlySpan<byte> version)
    {
        long sections = Int64(file, 0x28);
        int size = UInt16(file, 0x3A), count = UInt16(file, 0x3C), marked = 0;
        for (int i = 0; i < count; i++)
        {
            long section = sections + (long)i * size;
            if (UInt32(file, section + 4) != SectionVersionNeeds) continue;
            long strings = Int64(file, sections + (long)UInt32(file, section + 40) * size + 24);
            long need = Int64(file, section + 24);
            for (uint next = 1; next != 0; need += next)
            {
                long entry = need + UInt32(file, need + 8);
                for (int left = UInt16(file, need + 2); left > 0; left--)
                {
                    if (file[checked((int)(strings + UInt32(file, entry + 8)))..].StartsWith(version))
                    {
                        file[checked((int)(entry + 4))] |= (byte)Weak;
                        marked++;
                    }
                    entry += UInt32(file, entry + 12);
                }
                next = UInt32(file, need + 12);
            }
        }
        return marked;
    }

    private static long Int64(ReadOnlySpan<byte> file, long offset) => BinaryPrimitives.ReadInt64LittleEndian(file.Slice(checked((int)offset), 8));

    private static uint UInt32(ReadOnlySpan<byte> file, long offset) => BinaryPrimitives.ReadUInt32LittleEndian(file.Slice(checked((int)offset), 4));

    private static int UInt16(ReadOnlySpan<byte> file, long offset) => BinaryPrimitives.ReadUInt16LittleEndian(file.Slice(checked((int)offset), 2));
}
