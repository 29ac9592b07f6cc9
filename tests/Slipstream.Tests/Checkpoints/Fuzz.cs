using System.Globalization;
using Slipstream.Numerics;

namespace Slipstream.Tests.Checkpoints;

/// <summary>Opens damaged copies of a valid file: only a <see cref="SlipstreamException"/> may come out, and little memory may be taken.</summary>
internal static class Fuzz
{
    public static void Run(byte[] valid, string path, int rounds, Action<string> open, long mostBytes = 4 << 20)
    {
        Random random = new(20240611);
        int refused = 0;
        for (int round = 0; round < rounds; round++)
        {
            // Half of the damage goes to the first bytes, where counts and lengths are.
            int span = round % 2 == 0 ? Math.Min(valid.Length, 256) : valid.Length;
            byte[] damaged = (byte[])valid.Clone();
            string what;
            switch (round % 5)
            {
                case 0:
                    int length = random.Next(valid.Length);
                    damaged = valid[..length];
                    what = string.Create(CultureInfo.InvariantCulture, $"cut to {length} bytes");
                    break;
                case 1:
                    int at = random.Next(span);
                    damaged[at] = (byte)random.Next(256);
                    what = string.Create(CultureInfo.InvariantCulture, $"byte {at} set to {damaged[at]}");
                    break;
                case 2:
                    int bit = random.Next(span * 8);
                    damaged[bit / 8] ^= (byte)(1 << (bit % 8));
                    what = string.Create(CultureInfo.InvariantCulture, $"bit {bit} flipped");
                    break;
                default:
                    int start = random.Next(span), run = Math.Min(random.Next(1, 9), valid.Length - start);
                    damaged.AsSpan(start, run).Fill(round % 5 == 3 ? (byte)0xFF : (byte)0x7F);
                    what = string.Create(CultureInfo.InvariantCulture, $"bytes {start}+{run} filled");
                    break;
            }
            File.WriteAllBytes(path, damaged);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                open(path);
            }
            catch (SlipstreamException e)
            {
                refused++;
                Assert.False(e.Message.Contains('\n', StringComparison.Ordinal), what);
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"{what}: {e}");
            }
            long taken = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(taken < mostBytes, $"{what}: {taken} bytes were allocated.");
        }
        Assert.True(refused > rounds / 4, $"Only {refused} of {rounds} damaged files were refused.");
    }

    /// <summary>Reads the first and the last byte of a region.</summary>
    public static void Touch(ByteRegion region)
    {
        if (region.Length == 0) return;
        Assert.Equal(1, region.Span(0, 1).Length);
        _ = region.Span(0, 1)[0] + region.Span(region.Length - 1, 1)[0];
    }
}
