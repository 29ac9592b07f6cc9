namespace Slipstream.Numerics.Kernels;

/// <summary>Counts that are constants to the compiler: a kernel for one of them has no code for what it does not count.</summary>
internal static class Counts
{
    internal interface ICount { static abstract int Count { get; } }
    internal readonly struct One : ICount { public static int Count => 1; }
    internal readonly struct Two : ICount { public static int Count => 2; }
    internal readonly struct Three : ICount { public static int Count => 3; }
    internal readonly struct Four : ICount { public static int Count => 4; }
}
