using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics;

/// <summary>
/// Rows that enter matrix products, with their quantised form made once, on the first product that asks for it:
/// so Q, K, V, gate and up quantise once. Owned by one model; not for two threads at a time.
/// </summary>
public sealed unsafe class Activations : IDisposable
{
    private readonly NativeBuffer<float> _rows;
    private readonly int _maxRows, _maxWidth;
    private NativeBuffer<byte>? _scratch;
    private readonly QuantizedRows _quantized = new(exact: false), _exact = new(exact: true), _next = new(exact: false);
    private readonly QuantizedTiles _tiles = new(), _exactTiles = new();
    private OwnForms?[] _own = [];
    private long _set;
    private readonly RoundedRows _rounded = new(asFloats: false), _roundedFloats = new(asFloats: true), _nextRounded = new(asFloats: false);
    private int _count, _width;
    private float* _current;

    /// <summary>
    /// Rows up to which each thread of a product makes the form that kernels read for itself: what one thread writes and another reads takes longer to come over, and to be written again, than it takes to make.
    /// </summary>
    internal const int MostOwnRows = 6;

    /// <summary>Reserves room for <paramref name="maxRows"/> rows of at most <paramref name="maxWidth"/> floats.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size is under 1, or the room would exceed 2³¹ − 1 floats.</exception>
    /// <exception cref="SlipstreamException">Emitted kernels are asked for and cannot run here.</exception>
    public Activations(int maxRows, int maxWidth, ActivationPrecision precision, KernelTier kernels = KernelTier.Auto)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxRows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxWidth, 1);
        long floats = maxRows * ((long)maxWidth + 63);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(floats, int.MaxValue, nameof(maxRows));
        Precision = precision;
        UsesEmitted = EmittedKernels.Use(kernels);
        UsesAmx = EmittedKernels.UseAmx(kernels);
        _maxRows = maxRows;
        _maxWidth = maxWidth;
        _rows = new NativeBuffer<float>((long)maxRows * PadFloats(maxWidth));
    }

    /// <summary>
    /// Bytes that the quantised forms of a model's rows come to: of all its inputs once, of the inputs of exact products twice, and of what <see cref="ReserveNext"/> makes room for once;
    /// for all threads, and of few rows for each; and, for the matrix unit, the tiles of the first two.
    /// </summary>
    internal static long QuantizedBytes(int rows, int width, int exactWidth, int nextWidth, int threads, bool amx)
    {
        long tiles = amx && rows >= AmxFewRowsKernels.LeastRows ? TilesOf(rows, width) + TilesOf(2L * rows, exactWidth) : 0;
        return Forms(rows) + Of(rows, nextWidth) + tiles + threads * Forms(Math.Min(rows, MostOwnRows));

        long TilesOf(long count, int columns) => (count + QuantizedTiles.TileRows - 1) / QuantizedTiles.TileRows * QuantizedTiles.TileBytes((columns + 31) & ~31);
        long Forms(int count) => Of(count, width) + Of(2L * count, exactWidth);
        long Of(long count, int columns) => (count + QuantizedRows.TileRows - 1) / QuantizedRows.TileRows * QuantizedRows.TileBytes((columns + 31) & ~31);
    }

    /// <summary>The precision products use.</summary>
    public ActivationPrecision Precision { get; }

    /// <summary>Whether products may take emitted kernels, where there is one for the weights' format.</summary>
    internal bool UsesEmitted { get; }

    /// <summary>Whether these may use the matrix unit.</summary>
    internal bool UsesAmx { get; }

    /// <summary>Rows in use.</summary>
    public int Rows => _count;

    /// <summary>Floats in a row.</summary>
    public int Width => _width;

    /// <summary>Begins a new set of <paramref name="rows"/> rows of <paramref name="width"/> floats, to be written by the caller; quantised forms of the old set are forgotten.</summary>
    /// <returns><c>[rows, width]</c>, contents undefined.</returns>
    /// <exception cref="ArgumentOutOfRangeException">More than the room reserved.</exception>
    public Matrix Begin(int rows, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, _maxRows);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(width, _maxWidth);
        Set(_rows.Pointer, rows, width);
        int stride = PadFloats(width);
        if (stride != width)
            for (int row = 0; row < rows; row++)
                _rows.Span((long)row * stride + width, stride - width).Clear(); // Kernels read whole vectors.
        return Values;
    }

    /// <summary>Makes a new set of rows that lie elsewhere, so that what becomes them can be written while the old set is still read; quantised forms of the old set are forgotten.</summary>
    /// <param name="rows">Native memory that stays until the next set, in rows without gaps, a multiple of 16 wide.</param>
    /// <exception cref="ArgumentException">There are gaps, or vectors would reach over the end of rows.</exception>
    /// <exception cref="ArgumentOutOfRangeException">More than the room reserved, which forms of the rows need too.</exception>
    internal void Use(Matrix rows)
    {
        if (rows.Stride != rows.Columns || rows.Columns != PadFloats(rows.Columns)) throw new ArgumentException($"Rows of {rows.Columns} floats that begin {rows.Stride} apart cannot be used where they lie.", nameof(rows));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows.Rows, _maxRows, nameof(rows));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows.Columns, _maxWidth, nameof(rows));
        // SAFETY: the caller's memory is native and does not move.
        Set((float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(rows.Data)), rows.Rows, rows.Columns);
    }

    /// <summary>Makes room for the 8-bit form of the rows of the next set, which a product writes (<see cref="NextForm"/>).</summary>
    internal byte* ReserveNext(int rows, int width, int zero) => _next.Reserve(rows, _maxRows, width, zero);

    /// <summary>The same for rows of bfloat16.</summary>
    internal byte* ReserveNextRounded(int width) => _nextRounded.Reserve(_maxRows, width);

    /// <summary>Makes a new set of the rows that were written where <see cref="ReserveNext"/> or <see cref="ReserveNextRounded"/> said; they exist in that form only.</summary>
    internal void UseNext(int rows, int width, bool rounded)
    {
        Set(null, rows, width);
        if (rounded) _nextRounded.Set = _set;
        else _next.Set = _set;
    }

    private void Set(float* rows, int count, int width)
    {
        _current = rows;
        (_count, _width) = (count, width);
        _set++;
    }

    /// <summary>The rows of the current set; they begin a multiple of 16 floats apart.</summary>
    /// <exception cref="InvalidOperationException">The rows exist only in the form that a product wrote.</exception>
    public Matrix Values => new(new Span<float>(FloatPointer, _count * PadFloats(_width)), _count, _width, PadFloats(_width));

    /// <summary>The first row; rows begin <see cref="PadFloats"/> of the width apart, with zeros between.</summary>
    // SAFETY: valid until this is disposed; kernels read within Rows rows of the padded width.
    internal float* FloatPointer => _current is null ? throw new InvalidOperationException("These rows exist only in the form of the next product.") : _current;

    /// <summary>The least multiple of 16 that is not under <paramref name="width"/>.</summary>
    internal static int PadFloats(int width) => (width + 15) & ~15;

    /// <summary>The 8-bit form of the current set, made now if no product has asked for it before; the width must be a multiple of 32.</summary>
    /// <param name="pool">The threads to use.</param>
    /// <param name="exact">Whether every row becomes two, its codes and what they leave over.</param>
    /// <param name="zero">The code for zero of the weights that will be multiplied.</param>
    internal QuantizedRows Quantized(ComputePool pool, bool exact, int zero)
    {
        QuantizedRows rows = exact ? _exact : _next.Set == _set ? _next : _quantized;
        Make(rows, _maxRows, zero, pool, pool.Clock);
        return rows;
    }

    /// <summary>The same for the matrix unit.</summary>
    internal byte* Tiled(ComputePool pool, bool exact)
    {
        QuantizedTiles tiles = exact ? _exactTiles : _tiles;
        if (tiles.Set == _set) return tiles.Pointer;
        QuantizedRows rows = Quantized(pool, exact, zero: 0);
        Stage stage = pool.Clock?.Enter(Stage.Quantize) ?? default;
        tiles.Make(rows, exact ? 2L * _maxRows : _maxRows, _width, pool);
        pool.Clock?.Enter(stage);
        tiles.Set = _set;
        return tiles.Pointer;
    }

    /// <summary>Makes room for forms that threads make for themselves, up to <see cref="MostOwnRows"/> rows.</summary>
    internal void ReserveOwn(int threads)
    {
        if (_own.Length < threads) Array.Resize(ref _own, threads);
    }

    /// <summary>As <see cref="Quantized"/>, but made by and for the calling thread, which is <paramref name="worker"/> of the product's pool.</summary>
    internal byte* QuantizedBy(int worker, bool exact, int zero, StageClock? clock)
    {
        QuantizedRows rows = exact ? Own(worker).Exact : Own(worker).Plain;
        Make(rows, Math.Min(_maxRows, MostOwnRows), zero, null, worker == 0 ? clock : null);
        return rows.Pointer;
    }

    // Made by the thread that uses it, not to lie in one line with another's.
    private OwnForms Own(int worker) => _own[worker] ??= new OwnForms();

    private void Make(QuantizedRows rows, int capacity, int zero, ComputePool? pool, StageClock? clock)
    {
        bool isMade = rows.Set == _set;
        if (isMade && (zero == 0 || zero == rows.Zero)) return;
        Stage stage = clock?.Enter(Stage.Quantize) ?? default;
        if (isMade) rows.Restart(zero, pool);
        else rows.Quantize(Values, capacity, zero, pool);
        clock?.Enter(stage);
        rows.Set = _set;
    }

    /// <summary>The current set as bfloat16, made now if no product has asked for it before; rows begin <see cref="RoundedRows.RowBytes"/> apart.</summary>
    internal byte* Rounded(ComputePool pool) => Make(_nextRounded.Set == _set ? _nextRounded : _rounded, _maxRows, pool, pool.Clock);

    /// <summary>As <see cref="Rounded"/> or <see cref="RoundedFloats"/>, but made by and for the calling thread, which is <paramref name="worker"/> of the product's pool.</summary>
    internal byte* RoundedBy(int worker, bool asFloats, StageClock? clock) => Make(asFloats ? Own(worker).RoundedFloats : Own(worker).Rounded, Math.Min(_maxRows, MostOwnRows), null, worker == 0 ? clock : null);

    /// <summary>As <see cref="Rounded"/>, as the floats that the bfloat16 stand for, in the order of <see cref="PairProduct"/>.</summary>
    internal float* RoundedFloats(ComputePool pool) => (float*)Make(_roundedFloats, _maxRows, pool, pool.Clock);

    private byte* Make(RoundedRows rows, int capacity, ComputePool? pool, StageClock? clock)
    {
        if (rows.Set == _set) return rows.Pointer;
        Stage stage = clock?.Enter(Stage.Quantize) ?? default;
        rows.Round(Values, capacity, pool);
        clock?.Enter(stage);
        rows.Set = _set;
        return rows.Pointer;
    }

    /// <summary>Working memory for one product: <paramref name="bytes"/> for each of <paramref name="workers"/>. It grows to what the largest product needs and stays.</summary>
    internal byte* Scratch(int workers, long bytes) => NativeBuffer<byte>.Reserve(ref _scratch, workers * bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        _rows.Dispose();
        _scratch?.Dispose();
        _quantized.Dispose();
        _exact.Dispose();
        _next.Dispose();
        foreach (OwnForms? own in _own) own?.Dispose();
        _tiles.Dispose();
        _exactTiles.Dispose();
        _rounded.Dispose();
        _roundedFloats.Dispose();
        _nextRounded.Dispose();
    }

    /// <summary>The forms that one thread made for itself.</summary>
    private sealed class OwnForms : IDisposable
    {
        public QuantizedRows Plain { get; } = new(exact: false);

        public QuantizedRows Exact { get; } = new(exact: true);

        public RoundedRows Rounded { get; } = new(asFloats: false);

        public RoundedRows RoundedFloats { get; } = new(asFloats: true);

        public void Dispose()
        {
            Plain.Dispose();
            Exact.Dispose();
            Rounded.Dispose();
            RoundedFloats.Dispose();
        }
    }
}
