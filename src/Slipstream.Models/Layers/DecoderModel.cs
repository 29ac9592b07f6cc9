using System.Diagnostics;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>A decoder of any family: embedding, layers, final norm, head.</summary>
internal sealed class DecoderModel : ILanguageModel
{
    private readonly Linear _embedding, _head;
    private readonly float[]? _positions;
    private readonly DecoderLayer[] _layers;
    private readonly Norm _norm;
    private readonly Rotary? _rotary;
    private readonly Workspace _workspace;
    private readonly WeightScope _weights;
    private readonly OutputVocabulary? _outputTokens;
    private readonly ThreadChoice _threads;

    public DecoderModel(ModelConfig config, ModelRuntime runtime, WeightScope weights, Linear embedding, float[]? positions, DecoderLayer[] layers, Norm norm, Linear head, Rotary? rotary)
    {
        Config = config;
        KvLayout = config.KvLayout(runtime.Precision);
        _weights = weights;
        (_embedding, _positions, _layers, _norm, _head, _rotary) = (embedding, positions, layers, norm, head, rotary);
        _outputTokens = config.OutputTokens.IsDefaultOrEmpty ? null : new OutputVocabulary(config.OutputTokens);
        _threads = new ThreadChoice(runtime.Pool.Threads);
        _workspace = new Workspace(config, runtime.Pool, runtime.MaxRows, rotary?.AngleWidth ?? 0, runtime.Precision, runtime.Kernels);
    }

    public ModelConfig Config { get; }

    public KvLayout KvLayout { get; }

    public int MaxRows => _workspace.MaxRows;

    public long WeightBytes => _weights.Bytes;

    public long ScratchBytes => _workspace.Bytes;

    public ComputeCounters Counters => _workspace.Pool.Counters;

    public void Forward(in ForwardBatch batch, in ForwardOutputs outputs)
    {
        int rows = batch.Tokens.Length;
        Check(in batch, in outputs);
        long start = Stopwatch.GetTimestamp();
        _workspace.Pool.Active = _threads.For(rows);
        try
        {
            Run(in batch, in outputs);
        }
        finally
        {
            _workspace.Pool.Active = _workspace.Pool.Threads;
        }
        _threads.Took(rows, Stopwatch.GetTimestamp() - start);
    }

    private void Run(in ForwardBatch batch, in ForwardOutputs outputs)
    {
        int rows = batch.Tokens.Length;
        StageClock? clock = _workspace.Pool.Clock;
        clock?.Enter(Stage.Prepare);
        Prepare(in batch);
        Matrix hidden = _workspace.Hidden(rows);
        for (int row = 0; row < rows; row++)
        {
            _embedding.ReadRow(batch.Tokens[row], hidden[row]);
            if (_positions is not null) AddInPlace.Apply(hidden[row], _positions.AsSpan(batch.Positions[row] * Config.HiddenSize, Config.HiddenSize));
        }
        Matrix branch = default;
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            if (outputs.Observer is { } looksOn)
            {
                Norm.Add(hidden, branch, _workspace.Pool);
                branch = default;
                looksOn.OnHiddenStates(layer, hidden);
            }
            _layers[layer].Run(in batch, _workspace, hidden, branch);
            branch = _workspace.Branch(rows);
        }
        Norm.Add(hidden, branch, _workspace.Pool);
        if (outputs.Observer is { } observer)
        {
            Matrix all = _workspace.Branch(rows);
            _norm.Apply(hidden, all, _workspace.Pool);
            observer.OnHiddenStates(_layers.Length, all);
        }
        clock?.Enter(Stage.Norm);
        if (batch.OutputRows.IsEmpty) return;
        Matrix last = _workspace.Activations.Begin(batch.OutputRows.Length, Config.HiddenSize);
        for (int i = 0; i < last.Rows; i++) _norm.Apply(hidden[batch.OutputRows[i]], last[i]);
        for (int i = 0; i < outputs.Hidden.Rows; i++) last[i].CopyTo(outputs.Hidden[i]);
        clock?.Enter(Stage.Head);
        if (_outputTokens is null)
        {
            _head.Multiply(_workspace.Activations, outputs.Logits, _workspace.Pool, exact: true);
        }
        else
        {
            _head.Multiply(_workspace.Activations, _outputTokens.Narrow(outputs.Logits), _workspace.Pool, exact: true);
            _outputTokens.Widen(outputs.Logits);
        }
        clock?.Enter(Stage.Other);
    }

    public string? FindInvalidWeight() => _weights.FindInvalid();

    public void Dispose()
    {
        _workspace.Dispose();
        _weights.Dispose();
    }

    private void Prepare(in ForwardBatch batch)
    {
        _workspace.Plan.Begin(batch.Tables.Length);
        for (int i = 0; i + 1 < batch.SequenceStarts.Length; i++)
        {
            int first = batch.SequenceStarts[i], count = batch.SequenceStarts[i + 1] - first;
            KvTable table = batch.Tables[i];
            _workspace.Plan.Add(first, table.SlotArray, table.PositionArray, table.Count - count, batch.Parents.Slice(first, count));
        }
        if (_rotary is null) return;
        Matrix angles = _workspace.Angles(batch.Tokens.Length);
        for (int row = 0; row < angles.Rows; row++) _rotary.Angles(batch.Positions[row], angles[row]);
    }

    private void Check(in ForwardBatch batch, in ForwardOutputs outputs)
    {
        int rows = batch.Tokens.Length;
        if (rows == 0 || rows > MaxRows) throw new ArgumentException($"A forward pass takes 1 to {MaxRows} rows, not {rows}.", nameof(batch));
        if (batch.Positions.Length != rows || batch.Parents.Length != rows || batch.SequenceStarts.Length != batch.Tables.Length + 1 || batch.SequenceStarts[^1] != rows)
            throw new ArgumentException($"{rows} rows need as many positions and parents, and sequence starts that end there.", nameof(batch));
        if (batch.OutputRows.Length > 0 && (outputs.Logits.Rows != batch.OutputRows.Length || outputs.Logits.Columns != Config.VocabularySize))
            throw new ArgumentException($"{batch.OutputRows.Length} output rows need logits of [{batch.OutputRows.Length}, {Config.VocabularySize}].", nameof(outputs));
        for (int i = 0; i < batch.Tables.Length; i++)
            if (batch.Tables[i].Store != batch.Tables[0].Store || batch.Tables[i].Count < batch.SequenceStarts[i + 1] - batch.SequenceStarts[i])
                throw new ArgumentException("All tables of a batch lie in one store and hold the batch's rows.", nameof(batch));
        foreach (int token in batch.Tokens)
            if ((uint)token >= (uint)Config.VocabularySize) throw new ArgumentException($"Token {token} is outside the vocabulary of {Config.VocabularySize}.", nameof(batch));
        if (_positions is null) return;
        foreach (int position in batch.Positions)
            if ((uint)position >= (uint)Config.ContextLength) throw new ArgumentException($"Position {position} is outside the {Config.ContextLength} learned positions.", nameof(batch));
    }
}
