using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>Self-attention of one layer: project, rotate, write to the cache, attend over it, project back.</summary>
internal sealed class Attention
{
    private readonly ModelConfig _config;
    private readonly int _layer, _window;
    private readonly Dense _query, _key, _value, _output;
    private readonly LinearGroup _projections;
    private readonly Norm? _queryNorm, _keyNorm;
    private readonly Rotary? _rotary;
    private readonly float _scale;
    private readonly bool _rounds;

    public Attention(ModelConfig config, int layer, Dense query, Dense key, Dense value, Dense output, Norm? queryNorm, Norm? keyNorm, Rotary? rotary, ActivationPrecision precision)
    {
        _config = config;
        _layer = layer;
        _window = config.Window(layer);
        (_query, _key, _value, _output) = (query, key, value, output);
        _projections = new LinearGroup(query.Weight, key.Weight, value.Weight);
        (_queryNorm, _keyNorm, _rotary) = (queryNorm, keyNorm, rotary);
        _scale = 1f / MathF.Sqrt(config.HeadSize);
        _rounds = config.AttendsInBfloat16(precision);
    }

    /// <summary>Reads the rows of the workspace's activations and writes the branch's result.</summary>
    /// <param name="batch">The rows' tables.</param>
    /// <param name="workspace">Its activations hold the input, <c>[rows, hidden]</c>; its plan and angles describe the batch.</param>
    /// <param name="output"><c>[rows, hidden]</c>, overwritten.</param>
    public void Run(in ForwardBatch batch, Workspace workspace, Matrix output)
    {
        Activations x = workspace.Activations;
        ComputePool pool = workspace.Pool;
        int rows = x.Rows;
        Matrix q = workspace.Query(rows), k = workspace.Key(rows), v = workspace.Value(rows);
        StageClock? clock = pool.Clock;
        clock?.Enter(Stage.Products);
        // What errs in keys and values stays in the cache for every later token (ADR 1).
        _projections.Multiply(x, q, k, v, pool, exactFrom: 1);
        _query.AddBiasTo(q);
        _key.AddBiasTo(k);
        _value.AddBiasTo(v);
        clock?.Enter(Stage.Store);
        StoreJob store = new() { Owner = this, Q = q, K = k, V = v, Angles = workspace.Angles(rows), Batch = batch };
        // Rows of one sequence share lines of the cache, which would go to and fro between two threads that write some of them; those of several do not.
        int elements = q.Columns + k.Columns + v.Columns, together = batch.Tables.Length == 1 ? 2 * ShortJob.Rows(elements) : ShortJob.Rows(ShortJob.Nonlinear * elements);
        pool.For(ref store, rows, together);
        clock?.Enter(Stage.Attention);
        KvStore cache = batch.Tables[0].Store;
        TiledAttention attend = new(workspace.Plan, workspace.Attention, q, cache.Keys(_layer), cache.Values(_layer), cache.Layout.Type, x.Begin(rows, q.Columns), _config.KvHeads, _scale, _window, pool.Counters,
            _rounds, cache.Chunks);
        pool.For(ref attend, attend.Count);
        clock?.Enter(Stage.Products);
        _output.Multiply(x, output, pool);
    }

    /// <summary>Normalises and rotates the rows and writes keys and values to their slots.</summary>
    private ref struct StoreJob : IRangeJob
    {
        private const int MostRows = 16;
        public Attention Owner;
        public Matrix Q, K, V, Angles;
        public ForwardBatch Batch;

        public readonly void Execute(int from, int to, int worker)
        {
            for (int sequence = 0, row = from, end; row < to; row = end)
            {
                while (Batch.SequenceStarts[sequence + 1] <= row) sequence++;
                // Few enough to stay near until they are written.
                end = Math.Min(Math.Min(to, row + MostRows), Batch.SequenceStarts[sequence + 1]);
                for (int i = row; i < end; i++) Turn(i);
                Batch.Tables[sequence].Store.Write(Owner._layer, Slots(sequence).Slice(row - Batch.SequenceStarts[sequence], end - row), K.RowRange(row, end - row), V.RowRange(row, end - row));
            }
        }

        private readonly ReadOnlySpan<int> Slots(int sequence)
        {
            KvTable table = Batch.Tables[sequence];
            return table.Slots[(table.Count - Batch.SequenceStarts[sequence + 1] + Batch.SequenceStarts[sequence])..];
        }

        private readonly void Turn(int row)
        {
            int headSize = Owner._config.HeadSize;
            Span<float> q = Q[row], k = K[row];
            if (Owner._queryNorm is { } queryNorm) PerHead(queryNorm, q, headSize);
            if (Owner._keyNorm is { } keyNorm) PerHead(keyNorm, k, headSize);
            if (Owner._rotary is not { } rotary) return;
            rotary.Apply(q, headSize, Angles[row]);
            rotary.Apply(k, headSize, Angles[row]);
        }

        private static void PerHead(Norm norm, Span<float> heads, int headSize)
        {
            for (int h = 0; h < heads.Length; h += headSize) norm.Apply(heads.Slice(h, headSize), heads.Slice(h, headSize));
        }
    }
}
