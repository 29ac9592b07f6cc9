namespace Slipstream.Numerics.Kernels;

/// <summary>Scratch memory of attention: a part for each worker, and the results of spans that several workers share. Sized once, reused by every layer.</summary>
internal sealed unsafe class AttentionScratch : IDisposable
{
    // A span's results are a few per cent of the cached bytes it read; beyond this an item is attended for by one worker, which changes no bit.
    private const long MostPartialBytes = 8L << 20;

    private const int GroupsOfTile = TiledAttention.Tile / CachePairs.GroupRows;

    // Rows of a block, at most: those of tiles, which are more than those of vectors.
    private const int MostRows = AttentionPairs.MaxTileRows;

    // Floats after the results of the last span: its maxima are read in whole vectors.
    private const int Slack = 16;

    private readonly NativeBuffer<float> _floats, _partials;
    private readonly NativeBuffer<long> _offsets;
    private readonly int[] _done;

    /// <summary>Reserves the memory.</summary>
    /// <param name="workers">Workers that attend at the same time.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="kvHeads">Key-value heads.</param>
    /// <param name="headSize">Numbers in a head.</param>
    /// <param name="contextLength">The most positions of a sequence.</param>
    /// <param name="kernels">Whether emitted kernels may be used.</param>
    /// <exception cref="SlipstreamException">Emitted kernels are asked for and cannot run here.</exception>
    public AttentionScratch(int workers, int heads, int kvHeads, int headSize, int contextLength, KernelTier kernels = KernelTier.Auto)
    {
        UsesEmitted = EmittedKernels.Use(kernels);
        Unit = !UsesEmitted || !AttentionPairs.HasEmitted ? AttentionUnit.Compiled : EmittedKernels.UseAmx(kernels) ? AttentionUnit.Tiles : AttentionUnit.Vectors;
        (Workers, Group, HeadSize) = (workers, heads / kvHeads, headSize);
        RowsPerItem = AttentionPlan.RowsFor(Group);
        _floats = new NativeBuffer<float>(FloatsPerWorker(Group, headSize) * workers);
        _offsets = new NativeBuffer<long>(OffsetsPerWorker(Group, headSize) * workers);
        _partials = new NativeBuffer<float>(PartialFloats(heads, headSize, contextLength) + Slack);
        _done = new int[ItemsToSplit];
        for (int worker = 0; worker < workers; worker++)
        {
            AttentionWork work = Worker(worker);
            for (int i = 0; i < TiledAttention.Tile; i++) work.Identity[i] = i;
            new Span<float>(work.Zeros, Stride).Clear();
        }
    }

    /// <summary>Workers that attend at the same time.</summary>
    public int Workers { get; }

    /// <summary>Whether emitted kernels may be used.</summary>
    public bool UsesEmitted { get; }

    /// <summary>What multiplies where attention rounds to bfloat16.</summary>
    public AttentionUnit Unit { get; }

    /// <summary>Query heads of a key-value head.</summary>
    public int Group { get; }

    /// <summary>Numbers in a head.</summary>
    public int HeadSize { get; }

    /// <summary>Floats between heads: a multiple of 16.</summary>
    public int Stride => Padded(HeadSize);

    /// <summary>Rows of a sequence that one item attends for.</summary>
    public int RowsPerItem { get; }

    /// <summary>Where a step has fewer items than this, their positions are shared out too.</summary>
    public int ItemsToSplit => 8 * Workers;

    /// <summary>Floats of results that spans may keep.</summary>
    public long PartialLength => _partials.Length - Slack;

    /// <summary>All of it.</summary>
    public long Bytes => _floats.Bytes + _offsets.Bytes + _partials.Bytes;

    internal float* Partials => _partials.Pointer;

    /// <summary>How many spans of each item are done; zero between steps.</summary>
    internal Span<int> Done => _done;

    /// <summary>Bytes that a scratch of these sizes takes.</summary>
    public static long BytesFor(int workers, int heads, int kvHeads, int headSize, int contextLength)
        => workers * (FloatsPerWorker(heads / kvHeads, headSize) * sizeof(float) + OffsetsPerWorker(heads / kvHeads, headSize) * sizeof(long)) + (PartialFloats(heads, headSize, contextLength) + Slack) * sizeof(float);

    /// <inheritdoc/>
    public void Dispose()
    {
        _floats.Dispose();
        _offsets.Dispose();
        _partials.Dispose();
    }

    internal AttentionWork Worker(int worker)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)worker, (uint)Workers);
        // SAFETY: the parts add up to what was reserved for each worker.
        int queries = RowsPerItem * Group;
        float* at = _floats.Pointer + FloatsPerWorker(Group, HeadSize) * worker;
        long* offsets = _offsets.Pointer + OffsetsPerWorker(Group, HeadSize) * worker;
        float* Take(long length)
        {
            float* taken = at;
            at += length;
            return taken;
        }
        AttentionWork work = default;
        work.Keys = Take((long)TiledAttention.Tile * Stride);
        work.Values = Take((long)TiledAttention.Tile * Stride);
        work.Scores = Take((long)TiledAttention.Tile * MostRows);
        work.Queries = Take((long)queries * Stride);
        work.Span = new AttentionState(Take(Padded(queries)), Take(Padded(queries)), Take((long)queries * Stride));
        work.Total = new AttentionState(Take(Padded(queries)), Take(Padded(queries)), Take((long)queries * Stride));
        work.Keep = Take(2 * MostRows);
        work.Identity = (int*)Take(TiledAttention.Tile);
        work.ListLanes = (int*)Take(TiledAttention.Tile);
        work.Slots = (int*)Take(TiledAttention.Tile);
        work.Packed = (int*)Take(TiledAttention.Tile);
        work.Bits = (ushort*)Take((long)TiledAttention.Tile * Stride / 2);
        work.Zeros = Take(Stride);
        work.KeyPairs = (uint*)Take((long)TiledAttention.Tile * Stride / 2);
        work.ValuePairs = (uint*)Take((long)TiledAttention.Tile * Stride / 2);
        work.QueryBits = (ushort*)Take(Padded(queries) * (long)Stride / 2);
        work.WeightBits = (ushort*)Take((long)TiledAttention.Tile * MostRows);
        work.Offsets = offsets;
        work.ListOffsets = work.Offsets + TiledAttention.Tile;
        work.NextOffsets = work.ListOffsets + TiledAttention.Tile;
        work.KeyOffsets = work.NextOffsets + TiledAttention.Tile;
        work.ValueOffsets = work.KeyOffsets + TiledAttention.Tile;
        work.KeyGroups = (uint**)(work.ValueOffsets + TiledAttention.Tile);
        work.ValueGroups = work.KeyGroups + GroupsOfTile;
        work.Masks = (ulong*)(work.ValueGroups + GroupsOfTile);
        for (int group = 0; group < GroupsOfTile; group++)
        {
            work.KeyGroups[group] = work.KeyPairs + group * CachePairs.GroupRows * Stride / 2;
            work.ValueGroups[group] = work.ValuePairs + group * CachePairs.GroupRows * Stride / 2;
        }
        return work;
    }

    private static long FloatsPerWorker(int group, int headSize)
    {
        int queries = AttentionPlan.RowsFor(group) * group;
        return (long)TiledAttention.Tile * (2 * Padded(headSize) + MostRows) + 3L * queries * Padded(headSize) + 4L * Padded(queries)
            + 2 * MostRows + 4 * TiledAttention.Tile + 3L * TiledAttention.Tile * Padded(headSize) / 2 + Padded(headSize) + Padded(queries) * (long)Padded(headSize) / 2 + (long)TiledAttention.Tile * MostRows;
    }

    private static long OffsetsPerWorker(int group, int headSize) => (5L * TiledAttention.Tile + 2 * GroupsOfTile + AttentionPlan.RowsFor(group) * group + 7) / 8 * 8;

    private static int Padded(int length) => (length + 15) / 16 * 16;

    private static long PartialFloats(int heads, int headSize, int contextLength)
    {
        long spans = ((long)contextLength + AttentionPlan.SpanPositions - 1) / AttentionPlan.SpanPositions;
        return Math.Min(MostPartialBytes / sizeof(float), 16 * spans * heads * (Padded(headSize) + 2));
    }
}

/// <summary>Running maximum, sum and weighted values of some query rows.</summary>
internal unsafe struct AttentionState(float* max, float* sum, float* values)
{
    /// <summary>The largest score of each row, −∞ where nothing was seen.</summary>
    public float* Max = max;

    /// <summary>The sum of exp(score − maximum).</summary>
    public float* Sum = sum;

    /// <summary>The sum of exp(score − maximum) · value, <c>[rows, stride]</c>.</summary>
    public float* Values = values;
}

/// <summary>One worker's part of the scratch.</summary>
internal unsafe struct AttentionWork
{
    /// <summary>Rows of keys and of values read so far.</summary>
    public long RowsRead;

    /// <summary>The item and the key-value head whose queries are loaded.</summary>
    public (int Item, int KvHead) QueriesOf;

    /// <summary>Widened keys and values of the tile, <c>[64, stride]</c>; scores, <c>[16, 64]</c>.</summary>
    public float* Keys, Values, Scores;

    /// <summary>Scaled queries, <c>[rows, stride]</c>, and a block's factors for what it has so far.</summary>
    public float* Queries, Keep;

    /// <summary>The span in progress, and all spans before it.</summary>
    public AttentionState Span, Total;

    /// <summary>0, 1, 2, …; the places of a list of seen rows; the slots wanted and widened at each place of the tile.</summary>
    public int* Identity, ListLanes, Slots, Packed;

    /// <summary>Where the keys and values of each place begin, in bytes; the same for a list of rows, and in the cache for the rows of the tile that comes next.</summary>
    public long* Offsets, ListOffsets, NextOffsets;

    /// <summary>Rows of the next tile that are asked for, and whether rows are asked for at all.</summary>
    public int NextRows;
    public bool Asks;

    /// <summary>The places of the tile that each query row of the item sees.</summary>
    public ulong* Masks;

    /// <summary>In bfloat16: the queries, the weights of two blocks of rows, and room for a tile.</summary>
    public ushort* QueryBits, WeightBits, Bits;

    /// <summary>A row of zeros, and where the keys and values of each place begin where some places have none, in bytes.</summary>
    public float* Zeros;
    public long* KeyOffsets, ValueOffsets;

    /// <summary>Room for the tile as products take it: of keys <c>[4, stride / 2, 16]</c> pairs of columns, of values <c>[32, stride]</c> pairs of rows; and where each group of sixteen rows is, here or in the cache.</summary>
    public uint* KeyPairs, ValuePairs;
    public uint** KeyGroups, ValueGroups;

    /// <summary>Rows that this thread's tiles are configured for; 0 for none.</summary>
    public int TileRows;

    /// <summary>The values of the tile that are yet to be brought into shape, and where they are.</summary>
    public int FirstValue, EndValue;
    public byte* ValueBase;
    public long* ValuePlaces;

    /// <summary>Bytes from each line of the tile to the line of the next one that is asked for meanwhile; 0 for none.</summary>
    public nint Ahead;

    /// <summary>Whether each row has the tile to itself: what it does not see is zero, not only weighted with it.</summary>
    public bool RowByRow;
}
