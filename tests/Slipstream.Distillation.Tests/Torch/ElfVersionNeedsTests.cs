using Slipstream.Distillation.Torch;
using Slipstream.Trainer;

namespace Slipstream.Distillation.Tests.Torch;

/// <summary>The repair of the shim.</summary>
public sealed class ElfVersionNeedsTests
{
    [Fact]
    public void Only_the_flag_of_the_named_version_changes()
    {
        byte[] shim = Shim(), changed = [.. shim];
        Assert.Equal(1, ElfVersionNeeds.Weaken(changed, "GLIBCXX_3.4.32"));
        int[] different = [.. Enumerable.Range(0, shim.Length).Where(i => shim[i] != changed[i])];
        int at = Assert.Single(different);
        Assert.Equal(shim[at] | 2, changed[at]);
        Assert.Equal(0, ElfVersionNeeds.Weaken([.. shim], "GLIBCXX_9.9.99"));
        Assert.Equal(0, ElfVersionNeeds.Weaken([.. shim], "GLIBCXX_3.4.3"));
    }

    [Fact]
    public void A_damaged_library_is_left_alone()
    {
        byte[] shim = Shim();
        Random random = new(1);
        for (int i = 0; i < 200; i++)
        {
            byte[] damaged = shim[..random.Next(shim.Length)];
            for (int j = 0; j < 64 && damaged.Length > 64; j++) damaged[random.Next(6, 64)] = (byte)random.Next(256);
            _ = ElfVersionNeeds.Weaken(damaged, "GLIBCXX_3.4.32");
        }
        Assert.Equal(0, ElfVersionNeeds.Weaken([], "GLIBCXX_3.4.32"));
        Assert.Equal(0, ElfVersionNeeds.Weaken(new byte[100], "GLIBCXX_3.4.32"));
    }

    [Fact]
    public void The_copy_is_made_once_and_a_library_without_the_need_is_refused()
    {
        using TorchFixture.Folder folder = new();
        File.WriteAllBytes(folder["shim.so"], Shim());
        string copy = TorchRuntime.Repair(folder["shim.so"], folder["cache"]);
        DateTime made = File.GetLastWriteTimeUtc(copy);
        Assert.Equal(copy, TorchRuntime.Repair(folder["shim.so"], folder["cache"]));
        Assert.Equal(made, File.GetLastWriteTimeUtc(copy));
        Assert.Single(Directory.GetFiles(folder["cache"], "*", SearchOption.AllDirectories));
        File.WriteAllBytes(folder["other.so"], new byte[100]);
        Assert.Contains("libstdc++", Assert.Throws<SlipstreamException>(() => TorchRuntime.Repair(folder["other.so"], folder["cache"])).Message, StringComparison.Ordinal);
        File.WriteAllText(folder["file"], "");
        Assert.Contains("XDG_CACHE_HOME", Assert.Throws<SlipstreamException>(() => TorchRuntime.Repair(folder["shim.so"], folder["file"])).Message, StringComparison.Ordinal);
    }

    private static byte[] Shim()
    {
        string? path = NativeLibraries.Folders.Select(folder => Path.Combine(folder, "libLibTorchSharp.so")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(path is null, "The shim of TorchSharp for Linux is not there.");
        return File.ReadAllBytes(path!);
    }
}
