using System.Runtime.InteropServices;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Scheduling;

namespace Slipstream.Speculation;

/// <summary>
/// Drafts with a smaller model of the same vocabulary (Leviathan et al., arXiv:2211.17192; Chen et al., arXiv:2302.01318), all sequences in one batch.
/// It keeps the longest cached prefix equal to a sequence and catches up. Where its context or cache is full it drafts nothing.
/// </summary>
public sealed class ModelDrafter : IDrafter
{
    private readonly ILanguageModel _model;
    private readonly KvStore _store;
    private readonly IDisposable? _owned;
    private readonly int _maxSequences;
    private readonly Dictionary<Sequence, State> _states = [];
    private readonly Stack<State> _spare = [];
    private readonly NativeBuffer<float> _logits;
    private readonly int[] _tokens, _positions, _parents, _starts, _outputs, _outputOf, _path;
    private readonly KvTable[] _tables;
    private readonly State?[] _active;

    /// <summary>Creates a drafter; it owns the model, the cache and <paramref name="owned"/>.</summary>
    /// <param name="model">The draft model.</param>
    /// <param name="store">Its cache.</param>
    /// <param name="maxSequences">The most sequences drafted for at once; at most the model's rows.</param>
    /// <param name="maxDraft">The most tokens drafted for a sequence.</param>
    /// <param name="parameters">Parameters of the model, for reports.</param>
    /// <param name="owned">What else to dispose of, such as the checkpoint.</param>
    public ModelDrafter(ILanguageModel model, KvStore store, int maxSequences, int maxDraft, long parameters = 0, IDisposable? owned = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxSequences, model.MaxRows);
        _model = model;
        _store = store;
        _owned = owned;
        _maxSequences = maxSequences;
        Parameters = parameters;
        _logits = new NativeBuffer<float>((long)maxSequences * model.Config.VocabularySize);
        (_tokens, _positions, _parents) = (new int[model.MaxRows], new int[model.MaxRows], new int[model.MaxRows]);
        (_starts, _outputs, _outputOf) = (new int[maxSequences + 1], new int[maxSequences], new int[maxSequences]);
        _path = new int[maxDraft + 1];
        _tables = new KvTable[maxSequences];
        _active = new State?[maxSequences];
    }

    /// <inheritdoc/>
    public string Name => "draft-model";

    /// <inheritdoc/>
    public long Parameters { get; }

    /// <inheritdoc/>
    public (long Weights, long Cache) MemoryBytes => (_model.WeightBytes, _store.Bytes);

    /// <inheritdoc/>
    public void Draft(ReadOnlySpan<DraftRequest> requests)
    {
        if (requests.Length > _maxSequences) throw new ArgumentException($"The drafter takes {_maxSequences} sequences, not {requests.Length}.", nameof(requests));
        for (int i = 0; i < requests.Length; i++) _active[i] = Heal(requests[i].Sequence);
        int freeBlocks = _store.FreeBlocks;
        for (int i = 0; i < requests.Length; i++)
            if (!HasRoom(_active[i]!, requests[i], ref freeBlocks)) _active[i] = null;
        while (true)
        {
            if (!Feed(requests)) return;
            for (int i = 0; i < requests.Length; i++)
                if (_active[i] is { } state && _outputOf[i] >= 0 && !Extend(requests[i], state, _outputOf[i])) _active[i] = null;
        }
    }

    /// <inheritdoc/>
    public void Release(Sequence sequence)
    {
        if (!_states.Remove(sequence, out State? state)) return;
        state.Truncate(0);
        _spare.Push(state);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _model.Dispose();
        _store.Dispose();
        _logits.Dispose();
        _owned?.Dispose();
    }

    /// <summary>The sequence's state, without what no longer matches its tokens.</summary>
    private State Heal(Sequence sequence)
    {
        if (!_states.TryGetValue(sequence, out State? state))
        {
            state = _spare.TryPop(out State? spare) ? spare : new State(_store);
            _states.Add(sequence, state);
        }
        // The last token is always fed again: its logits begin the draft.
        state.Truncate(CollectionsMarshal.AsSpan(state.Cached).CommonPrefixLength(sequence.Tokens[..^1]));
        return state;
    }

    /// <summary>Whether the context and the free blocks leave room for a draft; takes its blocks from <paramref name="freeBlocks"/>.</summary>
    private bool HasRoom(State state, in DraftRequest request, ref int freeBlocks)
    {
        int length = request.Sequence.Tokens.Length;
        state.Budget = Math.Min(Math.Min(request.Budget, _path.Length - 1), _model.Config.ContextLength - length + 1);
        if (state.Budget < 1) return false;
        int needed = state.Table.BlocksFor(length - state.Cached.Count + state.Budget - 1);
        if (needed > freeBlocks) return false;
        freeBlocks -= needed;
        return true;
    }

    /// <summary>Feeds each active sequence its pending tokens, as many as fit, in one forward pass; false where none is active.</summary>
    private bool Feed(ReadOnlySpan<DraftRequest> requests)
    {
        int rows = 0, sequences = 0, outputs = 0, room = _model.MaxRows, waiting = 0;
        for (int i = 0; i < requests.Length; i++) if (_active[i] is not null) waiting++;
        if (waiting == 0) return false;
        for (int i = 0; i < requests.Length; i++)
        {
            _outputOf[i] = -1;
            if (_active[i] is not { } state) continue;
            waiting--;
            ReadOnlySpan<int> committed = requests[i].Sequence.Tokens;
            int length = committed.Length + requests[i].Tree.Count, from = state.Cached.Count;
            // Every later sequence keeps room for one row, so that none starves.
            int count = Math.Min(length - from, room - rows - waiting);
            _starts[sequences] = rows;
            _tables[sequences++] = state.Table;
            for (int r = 0; r < count; r++, rows++)
            {
                int token = from + r < committed.Length ? committed[from + r] : requests[i].Tree.Token(from + r - committed.Length);
                (_tokens[rows], _positions[rows], _parents[rows]) = (token, from + r, r - 1);
                state.Append(token, from + r);
            }
            if (from + count < length) continue;
            _outputOf[i] = outputs;
            _outputs[outputs++] = rows - 1;
        }
        _starts[sequences] = rows;
        _model.Forward(
            new ForwardBatch
            {
                Tokens = _tokens.AsSpan(0, rows), Positions = _positions.AsSpan(0, rows), Parents = _parents.AsSpan(0, rows),
                SequenceStarts = _starts.AsSpan(0, sequences + 1), OutputRows = _outputs.AsSpan(0, outputs), Tables = _tables.AsSpan(0, sequences),
            },
            new ForwardOutputs { Logits = new Matrix(_logits.Span(0, outputs * _model.Config.VocabularySize), outputs, _model.Config.VocabularySize) });
        return true;
    }

    /// <summary>Adds one node from the logits; false when the sequence's draft is complete.</summary>
    private bool Extend(in DraftRequest request, State state, int output)
    {
        Sequence sequence = request.Sequence;
        DraftTree tree = request.Tree;
        Span<float> logits = _logits.Span((long)output * tree.Vocabulary, tree.Vocabulary);
        int depth = tree.Path(tree.Count - 1, _path);
        if (!RowCheck.IsFinite(logits)) return false;
        int row = -1;
        Span<float> q = logits;
        if (!sequence.Pipeline.IsGreedy)
        {
            row = tree.AddRow();
            q = tree.Row(row);
            logits.CopyTo(q);
        }
        sequence.Pipeline.ToDistribution(q, new TokenContext(sequence.Tokens, _path.AsSpan(0, depth), sequence.PromptLength));
        int token = sequence.Verifier.Draw(q, sequence.Random, sequence.Tokens.Length + depth);
        tree.Add(token, tree.Count - 1, row);
        return tree.Count < state.Budget;
    }

    /// <summary>What the draft model has of one sequence.</summary>
    private sealed class State(KvStore store)
    {
        public KvTable Table { get; } = new(store);

        public List<int> Cached { get; } = [];

        public int Budget { get; set; }

        public void Append(int token, int position)
        {
            Table.Append(position);
            Cached.Add(token);
        }

        public void Truncate(int count)
        {
            Table.Truncate(count);
            Cached.RemoveRange(count, Cached.Count - count);
        }
    }
}
