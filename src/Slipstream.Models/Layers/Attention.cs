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
        pool.For(ref store, rows, ShortJob.Rows(ShortJob.Nonlinear * (q.Columns + k.Columns + v.Columns)));
        clock?.Enter(Stage.Attention);
        KvStore cache = batch.Tables[0].Store;
        TiledAttention attend = new(workspace.Plan, workspace.Attention, q, cache.Keys(_layer), cache.Values(_layer), cache.Layout.Type, x.Begin(rows, q.Columns), _config.KvHeads, _scale, _window, pool.Counters,
            _rounds);
        pool.For(ref attend, attend.Count);
        clock?.Enter(Stage.Products);
        _output.Multiply(x, output, pool);
    }

    /// <summary>Normalises and rotates the rows and writes keys and values to their slots.</summary>
    private ref struct StoreJob : IRangeJob
    {
        public Attention Owner;
        public Matrix Q, K, V, Angles;
        public ForwardBatch Batch;

        public readonly void Execute(int from, int to, int worker)
        {
            int sequence = 0, headSize = Owner._config.HeadSize;
            for (int row = from; row < to; row++)
            {
                while (Batch.SequenceStarts[sequence + 1] <= row) sequence++;
                Span<float> q = Q[row], k = K[row];
                if (Owner._queryNorm is { } queryNorm) PerHead(queryNorm, q, headSize);
                if (Owner._keyNorm is { } keyNorm) PerHead(keyNorm, k, headSize);
                if (Owner._rotary is { } rotary)
                {
                    rotary.Apply(q, headSize, Angles[row]);
                    rotary.Apply(k, headSize, Angles[row]);
                }
                KvTable table = Batch.Tables[sequence];
                int slot = table.Slots[table.Count - Batch.SequenceStarts[sequence + 1] + row];
                table.Store.Write(Owner._layer, slot, k, V[row]);
            }
        }

        private static void PerHead(Norm norm, Span<float> heads, int headSize)
        {
            for (int h = 0; h < heads.Length; h += headSize) norm.Apply(heads.Slice(h, headSize), heads.Slice(h, headSize));
        }
    }
}
