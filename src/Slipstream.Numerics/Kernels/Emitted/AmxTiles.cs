using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>How kernels use the eight tiles of the matrix unit: 0 to 3 for sums, 4 and 5 for activations, 6 and 7 for weights.</summary>
/// <remarks>
/// <c>tdpbf16ps</c> adds to sums <c>[M, 16]</c> the product of activations <c>[M, K]</c> and weights that lie as pairs <c>[K/2][16][2]</c>, in M cycles. Its order is that of <see cref="PairProduct"/> for tiles.
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG and TDPBF16PS.
/// </remarks>
internal static unsafe class AmxTiles
{
    /// <summary>Rows of a tile, and bytes of one of its rows, at most.</summary>
    public const int Rows = 16, RowBytes = 64;

    /// <summary>Bytes of a whole tile.</summary>
    public const int Bytes = Rows * RowBytes;

    /// <summary>Columns of bfloat16 in a whole row.</summary>
    public const int Columns = RowBytes / sizeof(ushort);

    /// <summary>What fits the second-level cache, of two megabytes wherever there is a matrix unit, of activations.</summary>
    public const int CachedBytes = 1280 << 10;

    private const int Tiles = 8, RowBytesAt = 16, RowsAt = 48;

    private static readonly EmittedKernel<byte> ConfigureKernel = new("the shape of tiles", c => c.ldtilecfg(__[rcx])), ReleaseKernel = new("the end of tiles", c => c.tilerelease());

    // One for each shape, as long as the process: code has their addresses.
    private static readonly ConcurrentDictionary<(int First, int Second, int Sums, int Columns), nint> s_configurations = [];

    /// <summary>The address of constants that stay as long as the process.</summary>
    // SAFETY: the bytes are copied to memory of their length.
    public static nint Constant(ReadOnlySpan<byte> bytes)
    {
        byte* copy = (byte*)NativeMemory.AlignedAlloc((nuint)bytes.Length, RowBytes);
        bytes.CopyTo(new Span<byte>(copy, bytes.Length));
        return (nint)copy;
    }

    /// <summary>The kernels that give tiles a shape, and that take it away.</summary>
    internal static (EmittedKernel<byte> Configure, EmittedKernel<byte> Release) Frame => (ConfigureKernel, ReleaseKernel);

    /// <summary>Gives this thread's tiles a shape.</summary>
    /// <param name="shape">Of <see cref="Shape"/>.</param>
    // SAFETY: (both) kernels that read 64 bytes, or nothing.
    public static void Configure(nint shape) => ConfigureKernel.Brief((byte*)shape);

    /// <summary>Takes the shape away: what has none need not be saved when threads change.</summary>
    public static void Release() => ReleaseKernel.Brief(null);

    /// <summary>A tile by its number.</summary>
    public static AssemblerRegisterTMM Tmm(int number) => new(Register.TMM0 + number);

    /// <summary>Configures the tiles: activations of so many rows, in tile 4 and in tile 5, by so many columns; sums of as many rows.</summary>
    /// <param name="c">Where to.</param>
    /// <param name="first">Rows of activations in tile 4.</param>
    /// <param name="second">Rows of activations in tile 5; 0 where sums are all of the first.</param>
    /// <param name="sums">Tiles of sums for each of the two, one after another.</param>
    /// <param name="columns">Columns, 32 at most.</param>
    public static void Configure(Assembler c, int first, int second, int sums, int columns)
    {
        c.mov(rax, AddressOf(first, second, sums, columns));
        c.ldtilecfg(__[rax]);
    }

    /// <summary>The same for a <see cref="PackedCall"/>, unless the thread's tiles have that shape.</summary>
    /// <inheritdoc cref="Configure(Assembler, int, int, int, int)"/>
    public static void GiveShape(Assembler c, int first, int second, int sums, int columns)
    {
        Label given = c.CreateLabel();
        c.mov(rax, AddressOf(first, second, sums, columns));
        c.mov(rbx, PackedKernels.Argument(nameof(PackedCall.Shape)));
        c.cmp(__qword_ptr[rbx], rax);
        c.je(given);
        c.mov(__qword_ptr[rbx], rax);
        c.ldtilecfg(__[rax]);
        c.Label(ref given);
    }

    /// <summary>Begins a turn of a <see cref="PackedCall"/>: as many steps as a register holds, or as are left.</summary>
    public static void BeginTurn(Assembler c, AssemblerRegister64 steps)
    {
        Label enough = c.CreateLabel();
        AssemblerMemoryOperand left = PackedKernels.Argument(nameof(PackedCall.Left));
        c.cmp(steps, left);
        c.jbe(enough);
        c.mov(steps, left);
        c.Label(ref enough);
        c.mov(PackedKernels.Argument(nameof(PackedCall.Turn)), steps);
        c.sub(left, steps);
    }

    private static ulong AddressOf(int first, int second, int sums, int columns) => (ulong)s_configurations.GetOrAdd((first, second, sums, columns), Configuration);

    private static nint Configuration((int First, int Second, int Sums, int Columns) shape) => Shape(tile =>
    {
        bool isSecond = shape.Second > 0 && (tile == 5 || (tile < 4 && tile >= shape.Sums));
        return (tile >= 6 ? shape.Columns / 2 : isSecond ? shape.Second : shape.First, tile is 4 or 5 ? shape.Columns * sizeof(ushort) : RowBytes);
    });

    /// <summary>What gives the eight tiles a shape, for as long as the process.</summary>
    /// <param name="tile">Rows of a tile, and bytes of each.</param>
    public static nint Shape(Func<int, (int Rows, int RowBytes)> tile)
    {
        Span<byte> bytes = stackalloc byte[RowBytes];
        bytes.Clear();
        bytes[0] = 1; // The palette.
        for (int i = 0; i < Tiles; i++)
        {
            (int rows, int rowBytes) = tile(i);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[(RowBytesAt + sizeof(ushort) * i)..], (ushort)rowBytes);
            bytes[RowsAt + i] = (byte)rows;
        }
        return Constant(bytes);
    }
}
