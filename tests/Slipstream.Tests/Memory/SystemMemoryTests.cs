using System.Globalization;
using Slipstream.Numerics;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Memory;

// SAFETY: pointers are only compared and printed.
public sealed unsafe class SystemMemoryTests
{
    private const int Large = 9 << 20;

    [Fact]
    public void Large_buffers_are_zeroed_aligned_and_ask_for_huge_pages()
    {
        using NativeBuffer<byte> buffer = new(Large + 3);
        Assert.Equal(Large + 3, buffer.Length);
        Assert.Equal(-1, buffer.Span(0, Large + 3).IndexOfAnyExcept((byte)0));
        buffer.Span(Large, 3).Fill(7);
        buffer.Span(0, 1)[0] = 1;
        if (!OperatingSystem.IsLinux()) return;
        Assert.Equal(0u, (nuint)buffer.Pointer % (2 << 20));
        // The kernel may have been built without huge pages; then it says so by having no such folder.
        if (Directory.Exists("/sys/kernel/mm/transparent_hugepage")) Assert.Contains("hg", Smaps((nuint)buffer.Pointer, "VmFlags:").Split(' '));
    }

    [Fact]
    public void Large_buffers_come_and_go()
    {
        for (int i = 0; i < 200; i++)
        {
            using NativeBuffer<float> buffer = new(2 << 20);
            buffer.Span(i * 1000, 1)[0] = 1;
            buffer.Span((2 << 20) - 1, 1)[0] = 1;
        }
        using NativeBuffer<byte> small = new(100);
        Assert.Equal(0u, (nuint)small.Pointer % 64);
    }

    [Fact]
    public void Discarded_pages_of_a_file_leave_memory_and_come_back()
    {
        using TempFolder folder = new();
        string path = Path.Combine(folder.Path, "weights");
        byte[] bytes = new byte[Large];
        new Random(3).NextBytes(bytes);
        File.WriteAllBytes(path, bytes);
        using MappedFile file = new(path);
        Assert.True(file.Region.Span(0, Large).SequenceEqual(bytes));
        long before = Resident(file);
        ByteRegion part = file.Region.Slice(100, Large - 200);
        part.Discard();
        if (OperatingSystem.IsLinux()) Assert.InRange(Resident(file), 0, Math.Min(before - 1, 64));
        part.Sequential();
        part.WillNeed();
        part.Populate();
        Assert.True(file.Region.Span(0, Large).SequenceEqual(bytes));
    }

    [Fact]
    public void Discarding_other_memory_leaves_it_alone()
    {
        using NativeBuffer<byte> buffer = new(Large);
        buffer.Span(0, Large).Fill(9);
        buffer.Region.Discard();
        buffer.Region.Slice(5, Large - 9).Discard();
        Assert.Equal(-1, buffer.Span(0, Large).IndexOfAnyExcept((byte)9));
    }

    private static long Resident(MappedFile file)
        => OperatingSystem.IsLinux() ? long.Parse(Smaps((nuint)file.Region.Pointer, "Rss:").Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) : long.MaxValue;

    // The line of the mapping that holds the address.
    private static string Smaps(nuint address, string name)
    {
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string[] bounds = line.Split(' ')[0].Split('-');
            if (bounds.Length == 2) inside = address >= (nuint)Convert.ToUInt64(bounds[0], 16) && address < (nuint)Convert.ToUInt64(bounds[1], 16);
            else if (inside && line.StartsWith(name, StringComparison.Ordinal)) return line;
        }
        throw new InvalidOperationException($"No mapping holds {address:x}.");
    }
}
