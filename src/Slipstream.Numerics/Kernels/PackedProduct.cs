using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>Makes one row, or any piece of it, of two.</summary>
/// <param name="a"><c>[n]</c>.</param>
/// <param name="b"><c>[n]</c>.</param>
/// <param name="y"><c>[n]</c>; may be exactly <paramref name="a"/>.</param>
internal delegate void Combination(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y);

/// <summary>Up to three packed layers that multiply the same activations in one job: a fork and a join cost as much as a small product.</summary>
internal readonly record struct PackedLayers(PackedLinear First, PackedLinear? Second = null, PackedLinear? Third = null)
{
    /// <summary>The code for zero of those that have one above 0.</summary>
    public int Zero => Math.Max(First.Zero, Math.Max(Second?.Zero ?? 0, Third?.Zero ?? 0));

    /// <summary>Whether one of them has codes of whole bytes.</summary>
    public bool HaveBytes => First.HasBytes || Second is { HasBytes: true } || Third is { HasBytes: true };

    /// <summary>Whether the matrix unit pays for few rows of all.</summary>
    public bool TakeFewRows => First.TakesFewRows && Second is null or { TakesFewRows: true } && Third is null or { TakesFewRows: true };

    /// <summary>Whether one set of activations serves them all: in one form, whose sums start for one code for zero, and for 0.</summary>
    public bool FitTogether
    {
        get
        {
            (int zero, Type kind) = (Zero, First.GetType());
            return Fits(First) && Fits(Second) && Fits(Third);
            bool Fits(PackedLinear? layer) => layer is null || (layer.GetType() == kind && (layer.Zero == 0 || layer.Zero == zero));
        }
    }
}

/// <summary>The product of activations and packed weights, in parallel over groups of sixteen rows of W and, where activations are many, over rows of these.</summary>
internal static unsafe class PackedProduct
{
    private const int GroupRows = PackedLayout.Rows;

    // Results, of sixteen floats each, that are made of one tile before they are stored: its rows lie far apart.
    private const int MaxStored = 32;

    // Rows of results of both layers that are combined at once, for two groups each: they stay in the first-level cache. Where weights are made something of for all rows: in the second-level cache.
    private const int CombinedGroups = NextForm.Columns / GroupRows, CombinedRows = PackedKernels.Stored / (2 * CombinedGroups), CombinedTileRows = PackedKernels.MostStored / (2 * CombinedGroups);

    // Rows of activations for each thread from which on each takes its own ones, which the jobs before and after give it too, and goes over all weights: what the threads then hand to each other
    // would cost more than what they read twice. And where weights are made something of, which each then would do: for more rows that is little.
    private const int SharedRows = 16, SharedTileRows = 128;

    // Bytes of weights, times rows, under which a range is not worth another thread: about a microsecond.
    private const long LeastWork = 64 << 10;

    /// <summary>Computes <c>y = x · Wᵀ</c> for each layer; the outputs of layers that are null are empty.</summary>
    /// <param name="layers">The layers.</param>
    /// <param name="x">Their activations.</param>
    /// <param name="first">The first layer's result.</param>
    /// <param name="second">The second's.</param>
    /// <param name="third">The third's.</param>
    /// <param name="pool">The threads to use.</param>
    /// <param name="exactFrom">The first of the layers that use activations in the exact form.</param>
    /// <param name="combine">
    /// Where not null, what makes of the results of two layers of as many outputs those that take the first's place, in any pieces of rows: each thread combines what it has made, while that is near.
    /// </param>
    /// <param name="form">Where not null, what takes the combined rows in the first's place, with room for them; only for more rows than threads make forms of for themselves, and not in the exact form.</param>
    public static void Run(PackedLayers layers, Activations x, Matrix first, Matrix second, Matrix third, ComputePool pool, int exactFrom, Combination? combine = null, NextForm? form = null)
    {
        if (x.Rows == 0) return;
        if (x.Precision == ActivationPrecision.Int16) exactFrom = 0;
        bool own = x.Rows <= Activations.MostOwnRows;
        bool atOnce = combine is not null && !own && exactFrom > 0;
        int shares = x.Rows >= (layers.First.EmittedFor(x, layers) is { TakesGroupAtOnce: true } ? SharedTileRows : SharedRows) * pool.Threads ? pool.Threads : 1;
        // SAFETY: the outputs are pinned until every range has run; the quantised rows are as wide as the layers.
        fixed (float* y0 = first.Data)
        fixed (float* y1 = second.Data)
        fixed (float* y2 = third.Data)
        {
            Job job = new() { Shares = shares, Counters = pool.Counters, Clock = pool.Clock, Combine = combine, AtOnce = atOnce, Form = form };
            if (own)
            {
                x.ReserveOwn(pool.Threads);
                (job.Own, job.Zero) = (x, layers.Zero);
            }
            Add(ref job.Parts[0], 0, layers.First, y0, first.Stride);
            Add(ref job.Parts[1], 1, layers.Second, y1, second.Stride);
            Add(ref job.Parts[2], 2, layers.Third, y2, third.Stride);
            job.Groups = combine is not null ? job.Parts[0].Groups : job.Parts[0].Groups + job.Parts[1].Groups + job.Parts[2].Groups;
            long least = LeastWork / Math.Max(1, (layers.First.Bytes + (layers.Second?.Bytes ?? 0) + (layers.Third?.Bytes ?? 0)) * x.Rows / (shares * job.Groups));
            int together = atOnce ? CombinedGroups : Math.Max(1, job.Parts[0].Together);
            pool.For(ref job, shares * job.Groups, Math.Max(1, (int)(least / together)) * together);
        }

        void Add(ref Part part, int index, PackedLinear? layer, float* y, int stride)
        {
            if (layer is null) return;
            bool exact = index >= exactFrom && layer.HasExactForm;
            PackedKernels? kernels = layer.EmittedFor(x, layers);
            byte* rows = own ? null : layer.FormOf(x, pool, exact, layers.Zero, kernels);
            part = new Part(layer, rows, exact ? 2 * x.Rows : x.Rows, exact, y, stride, shares, kernels, !atOnce ? int.MaxValue : kernels is { TakesGroupAtOnce: true } ? CombinedTileRows : CombinedRows);
        }
    }

    /// <summary>One layer of a product: its weights, activations (null where each thread makes its own form of them) and output, and its kernels for several groups of weights and for one.</summary>
    private readonly struct Part
    {
        public readonly PackedLinear Layer;
        public readonly byte* Packed, X;
        public readonly float* Y;
        public readonly nint GroupBytes, TileBytes, YStride, Blocks;
        public readonly int Groups, OutFeatures, Rows, RowsTogether, TileRows, Tiles, CachedTiles, StoredTiles, Together, ScratchBytes;
        public readonly bool Exact, TakesGroupAtOnce;
        public readonly delegate*<in PackedCall, int, void> Compiled;
        public readonly Kernels Several, Single;
        public readonly PackedKernels? Emitted;

        // Results that are made before they are stored or combined, the shape of tiles, and what kernels make of weights.
        private int ResultBytes => (TakesGroupAtOnce ? PackedKernels.MostStored : PackedKernels.Stored) * GroupRows * sizeof(float);

        /// <summary>Bytes that calls need for results and beside them, from a line on.</summary>
        public int RoomBytes => ResultBytes + Lines.Bytes + ScratchBytes;

        /// <summary>Where the room keeps the shape that tiles have.</summary>
        public nint* ShapeIn(float* room) => (nint*)((byte*)room + ResultBytes);

        /// <summary>Calls of tiles by a group, or by groups so far apart, with results at the beginning of the room.</summary>
        public PackedCall CallOf(float* room, nint groupStride)
            => new() { Results = room, Scratch = (byte*)room + ResultBytes + Lines.Bytes, Shape = ShapeIn(room), Blocks = Blocks, GroupStride = groupStride, TileBytes = TileBytes, NextTile = RowsTogether / TileRows * TileBytes, Rewind = GroupBytes };

        /// <summary>Rows of a tile: fewer in the last.</summary>
        public int RowsOf(int tile) => RowsOf(tile, 1);

        /// <summary>Rows of tiles.</summary>
        public int RowsOf(int tile, int count) => Math.Min(Rows, (tile + count) * RowsTogether) - tile * RowsTogether;

        /// <summary>Rows that kernels make of tiles: of whole ones, where they take the last as one.</summary>
        public int RowsMade(int tile, int count) => TakesGroupAtOnce ? count * RowsTogether : RowsOf(tile, count);

        public Part(PackedLinear layer, byte* x, int rows, bool exact, float* y, int stride, int shares, PackedKernels? kernels, int mostRows)
        {
            Layer = layer;
            Packed = layer.Pointer;
            X = x;
            Y = y;
            YStride = stride;
            (Groups, OutFeatures, Rows, Exact) = (layer.Groups, layer.OutFeatures, rows, exact);
            (TileRows, TileBytes) = layer.Tile(kernels);
            RowsTogether = kernels?.RowsTogether((Rows + shares - 1) / shares) ?? layer.KernelRows;
            Tiles = (Rows + RowsTogether - 1) / RowsTogether;
            GroupBytes = (nint)layer.GroupBytes;
            Blocks = layer.Blocks;
            int tiles = (Tiles + shares - 1) / shares, most = Math.Min((int)Math.Max(2, (kernels?.CachedBytes ?? layer.CachedBytes) / (TileBytes * (RowsTogether / TileRows))), mostRows / RowsTogether), turns = (tiles + most - 1) / most;
            CachedTiles = (tiles + turns - 1) / turns;
            Compiled = layer.Kernel;
            Emitted = kernels;
            if (kernels is null) return;
            Together = kernels.GroupsTogether(Rows, layer.Fetch);
            TakesGroupAtOnce = kernels.TakesGroupAtOnce;
            ScratchBytes = kernels.ScratchBytes;
            StoredTiles = kernels.StoredResults / (RowsTogether * Together);
            if (Together > 1) Several = new Kernels(layer, kernels, Rows, RowsTogether, CachedTiles, Together);
            Single = new Kernels(layer, kernels, Rows, RowsTogether, CachedTiles, 1);
        }
    }

    /// <summary>
    /// The emitted kernels for a number of groups: for a tile whose weights come from memory; for tiles that find them near and meanwhile ask memory for those of the next groups, so that it never
    /// rests; for tiles after these; and for the rows of the last.
    /// </summary>
    private readonly struct Kernels
    {
        public readonly delegate* unmanaged<PackedCall*, void> First, Asking, Quiet, Rest;

        /// <summary>Tiles that ask, and the bytes of each group that one asks for.</summary>
        public readonly int AskingTiles, AskedBytes;

        public Kernels(PackedLinear layer, PackedKernels kernels, int rows, int together, int tiles, int groups)
        {
            // Kernels of whole tiles take the last as one.
            int whole = kernels.TakesGroupAtOnce ? (rows + together - 1) / together : rows / together, rest = rows - Math.Min(rows, whole * together), asked = layer.Fetch;
            if (whole > 0) First = kernels.Entry(together, groups, asked);
            if (tiles > 1)
            {
                int steps = (layer.InFeatures + kernels.StepColumns - 1) / kernels.StepColumns, lines = (int)((layer.GroupBytes + 63) / 64);
                asked = Math.Min(kernels.MaxLines, (lines + steps * tiles - 1) / (steps * tiles));
                (AskingTiles, AskedBytes) = ((lines + steps * asked - 1) / (steps * asked), steps * asked * 64);
                Asking = kernels.Entry(together, groups, asked);
                if (tiles > AskingTiles)
                {
                    asked = PackedKernels.Nothing;
                    Quiet = kernels.Entry(together, groups, asked);
                }
            }
            if (rest > 0) Rest = kernels.Entry(rest, groups, asked);
        }
    }

    [InlineArray(3)]
    private struct ThreeParts
    {
        private Part _first;
    }

    private struct Job : IRangeJob
    {
        public ThreeParts Parts;
        public int Shares, Groups, Zero;
        public Activations? Own;
        public StageClock? Clock;
        public ComputeCounters Counters;
        public Combination? Combine;
        public bool AtOnce;
        public NextForm? Form;

        [SkipLocalsInit]
        public readonly void Execute(int from, int to, int worker)
        {
            // SAFETY: groups of the range lie in the packed weights, tiles in the quantised rows; results are written before they are read, and have room for what one call makes,
            // and each output is as wide as its layer.
            byte* room = stackalloc byte[Lines.Bytes + Parts[0].RoomBytes];
            float* results = (float*)Lines.Align(room);
            nint* shape = Parts[0].ShapeIn(results);
            *shape = 0;
            for (int share = from / Groups; share * Groups < to; share++)
            {
                (int first, int end) = (Math.Max(from - share * Groups, 0), Math.Min(to - share * Groups, Groups));
                if (AtOnce) MultiplyAndCombine(first, end, share, worker, results);
                else Multiply(first, end, share, worker, results);
            }
            if (*shape != 0) AmxTiles.Release();
        }

        // A range of the groups of all parts, one part after another or, where results are combined, side by side; by a share of the rows.
        private readonly void Multiply(int from, int to, int share, int worker, float* results)
        {
            if (Combine is not null)
            {
                Multiply(in Parts[0], from, to, share, worker, results);
                Multiply(in Parts[1], from, to, share, worker, results);
                CombineRange(from, to, share, worker);
                return;
            }
            for (int p = 0; p < 3 && to > 0; p++)
            {
                ref readonly Part part = ref Parts[p];
                Multiply(in part, Math.Max(0, from), Math.Min(to, part.Groups), share, worker, results);
                (from, to) = (from - part.Groups, to - part.Groups);
            }
        }

        private readonly void Multiply(ref readonly Part part, int from, int to, int share, int worker, float* results)
        {
            if (from >= to) return;
            (int firstTile, int endTile) = Tiles(in part, share);
            byte* x = Own is null ? part.X : part.Layer.FormBy(Own, worker, part.Exact, Zero, part.Emitted, Clock);
            int each = part.Together > 1 ? (to - from) / part.Together : 0;
            bool oneTile = part.Tiles == 1 && part.Together > 0;
            if (each > 0) Run(in part, from, each, part.Together);
            Run(in part, from + each * part.Together, to - from - each * part.Together, 1);
            if (share == 0) Counters.AddWeights(worker, (to - from) * (long)part.GroupBytes);

            void Run(ref readonly Part part, int start, int count, int streams)
            {
                if (oneTile) MultiplyTile(in part, x, start, count, streams, results);
                else MultiplyTiles(in part, x, start, count, streams, firstTile, endTile, results);
            }
        }

        private readonly (int First, int End) Tiles(ref readonly Part part, int share) => ((int)((long)part.Tiles * share / Shares), (int)((long)part.Tiles * (share + 1) / Shares));

        private readonly void CombineRange(int from, int to, int share, int worker)
        {
            StageClock? clock = worker == 0 ? Clock : null;
            Stage stage = clock?.Enter(Stage.Gate) ?? default;
            ref readonly Part first = ref Parts[0];
            (int firstTile, int endTile) = Tiles(in first, share);
            int each = first.Exact ? 2 : 1, start = from * GroupRows, count = Math.Min(to * GroupRows, first.OutFeatures) - start;
            for (int row = firstTile * first.RowsTogether / each; row < Math.Min(first.Rows, endTile * first.RowsTogether) / each; row++)
            {
                float* a = first.Y + row * first.YStride + start, b = Parts[1].Y + row * Parts[1].YStride + start;
                Combine!(new ReadOnlySpan<float>(a, count), new ReadOnlySpan<float>(b, count), new Span<float>(a, count));
            }
            clock?.Enter(stage);
        }

        // The only tile by weights in `streams` runs of `count` groups each, as many groups of every run in a call as there are results for.
        private static void MultiplyTile(in Part part, byte* x, int from, int count, int streams, float* results)
        {
            ref readonly Kernels kernels = ref streams > 1 ? ref part.Several : ref part.Single;
            int rows = part.Rows, most = Math.Max(1, MaxStored / (rows * streams));
            delegate* unmanaged<PackedCall*, void> kernel = rows < part.RowsTogether ? kernels.Rest : kernels.First;
            PackedCall call = part.CallOf(results, count * part.GroupBytes) with { Activations = x, NextTile = 0, Rewind = 0 };
            for (int group = from, n; group < from + count; group += n)
            {
                n = Math.Min(most, from + count - group);
                call.Weights = part.Packed + group * part.GroupBytes;
                call.Tiles = n;
                kernel(&call);
                float* sums = results;
                for (int i = 0; i < n; i++)
                    for (int s = 0; s < streams; s++, sums += rows * GroupRows) Store(in part, sums, rows, group + i + s * count, 0);
            }
        }

        // Tiles by weights in `streams` runs of `count` groups each, one group of every run at a time; or, where weights are not a matter of memory, by as many groups beside each other.
        private static void MultiplyTiles(in Part part, byte* x, int from, int count, int streams, int firstTile, int endTile, float* results)
        {
            ref readonly Kernels kernels = ref streams > 1 ? ref part.Several : ref part.Single;
            (int step, int apart) = part.TakesGroupAtOnce ? (streams, 1) : (1, count);
            PackedCall call = part.CallOf(results, apart * part.GroupBytes);
            for (int first = firstTile; first < endTile; first += part.CachedTiles)
            {
                int end = Math.Min(endTile, first + part.CachedTiles);
                for (int i = 0, group = from; i < count; i++, group += step)
                {
                    call.Weights = part.Packed + group * part.GroupBytes;
                    for (int tile = first, n; tile < end; tile += n)
                    {
                        n = Call(in part, in kernels, ref call, x, tile, first, end, group == from, call.Weights + step * part.GroupBytes);
                        float* sums = results;
                        for (int t = 0; t < n; t++)
                        {
                            int rows = part.RowsOf(tile + t), made = part.RowsMade(tile + t, 1);
                            for (int s = 0; s < streams; s++, sums += made * GroupRows) Store(in part, sums, rows, group + s * apart, tile + t);
                        }
                    }
                }
            }
        }

        // One call of a kernel, for some of the tiles `first` to `end` of a group; gives their number. `fresh` tells that nobody asked memory for the group's weights, `after` is what comes after them.
        private static int Call(in Part part, in Kernels kernels, ref PackedCall call, byte* x, int tile, int first, int end, bool fresh, byte* after)
        {
            int rows = part.RowsOf(tile), asking = kernels.AskingTiles - (tile - first), n = 1;
            delegate* unmanaged<PackedCall*, void> kernel = kernels.First;
            if (rows < part.RowsTogether && !part.TakesGroupAtOnce) kernel = kernels.Rest;
            else
            {
                bool meets = part.Together > 0 && (tile > first || (!fresh && part.CachedTiles > 1)); // Weights that were asked for.
                if (meets) kernel = asking > 0 ? kernels.Asking : kernels.Quiet;
                int most = part.TakesGroupAtOnce || (meets && asking <= 0) ? part.StoredTiles : meets ? Math.Min(part.StoredTiles, asking) : 1;
                n = Math.Min(Math.Min(end, part.TakesGroupAtOnce ? end : part.Rows / part.RowsTogether) - tile, most);
            }
            call.Activations = x + tile * (part.RowsTogether / part.TileRows) * part.TileBytes;
            call.After = after + (tile - first) * (nint)kernels.AskedBytes;
            call.Tiles = n;
            if (part.Together == 0) part.Compiled(in call, rows);
            else
                fixed (PackedCall* pointer = &call) kernel(pointer);
            return n;
        }

        // Two groups of both layers by as many rows as stay near, combined where they were made; so results of neither layer go to memory.
        private readonly void MultiplyAndCombine(int from, int to, int share, int worker, float* results)
        {
            if (from >= to) return;
            StageClock? clock = worker == 0 ? Clock : null;
            ref readonly Part gate = ref Parts[0], up = ref Parts[1];
            (int firstTile, int endTile) = Tiles(in gate, share);
            for (int first = firstTile; first < endTile; first += gate.CachedTiles)
            {
                int end = Math.Min(endTile, first + gate.CachedTiles), each = gate.RowsMade(first, end - first) * GroupRows;
                for (int group = from; group < to; group += CombinedGroups)
                {
                    int groups = Math.Min(CombinedGroups, to - group), count = groups * each;
                    byte* next = gate.Packed + (group + groups < to ? group + groups : from) * gate.GroupBytes;
                    MultiplyGroups(in gate, group, groups, first, end, group == from, up.Packed + group * up.GroupBytes, results, results);
                    MultiplyGroups(in up, group, groups, first, end, false, next, results, results + count);
                    Stage stage = clock?.Enter(Stage.Gate) ?? default;
                    Combine!(new ReadOnlySpan<float>(results, count), new ReadOnlySpan<float>(results + count, count), new Span<float>(results, count));
                    if (Form is not null) clock?.Enter(Stage.Quantize);
                    bool together = GoTogether(in gate, groups);
                    for (int tile = first; tile < end; tile++)
                    {
                        int rows = gate.RowsOf(tile);
                        float* x = results + (tile - first) * gate.RowsTogether * GroupRows * (together ? groups : 1);
                        nint apart = together ? gate.RowsMade(tile, 1) * GroupRows : each;
                        if (Form is { } form) form.Write(new NextBlock { X = x, HalfStride = apart, FirstRow = tile * gate.RowsTogether, Rows = rows, Index = group / CombinedGroups });
                        else
                            for (int i = 0; i < groups; i++) Store(in gate, x + i * apart, rows, group + i, tile);
                    }
                    clock?.Enter(stage);
                }
            }
            if (share == 0) Counters.AddWeights(worker, (to - from) * (long)(gate.GroupBytes + up.GroupBytes));
        }

        private static bool GoTogether(in Part part, int groups) => groups > 1 && part.Together == groups;

        // Groups that follow each other by some tiles: results are `[tile][group][row][16]` where a kernel takes all of them, else `[group][tile][row][16]`.
        private static void MultiplyGroups(in Part part, int group, int groups, int first, int end, bool fresh, byte* after, float* room, float* results)
        {
            PackedCall call = part.CallOf(room, part.GroupBytes) with { Results = results };
            int streams = GoTogether(in part, groups) ? groups : 1;
            ref readonly Kernels kernels = ref streams > 1 ? ref part.Several : ref part.Single;
            for (int i = 0; i < groups; i += streams, fresh = false)
            {
                call.Weights = part.Packed + (group + i) * part.GroupBytes;
                for (int tile = first, n; tile < end; tile += n)
                {
                    n = Call(in part, in kernels, ref call, part.X, tile, first, end, fresh, i + streams < groups ? call.Weights + part.GroupBytes : after);
                    call.Results += streams * part.RowsMade(tile, n) * GroupRows;
                }
            }
        }

        private static void Store(in Part part, float* results, int rows, int group, int tile)
        {
            int each = part.Exact ? 2 : 1, live = Math.Min(GroupRows, part.OutFeatures - group * GroupRows);
            float* y = part.Y + tile * part.RowsTogether / each * part.YStride + group * GroupRows;
            for (int row = 0; row < rows; row += each, y += part.YStride, results += each * GroupRows)
            {
                Vector512<float> sums = Vector512.Load(results);
                if (part.Exact) sums += Vector512.Load(results + GroupRows);
                if (live == GroupRows) sums.Store(y);
                else
                    for (int i = 0; i < live; i++) y[i] = sums.GetElement(i);
            }
        }
    }
}
