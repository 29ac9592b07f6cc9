using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Rows to compute, of one or many sequences. There is no prefill and no decode: only rows.</summary>
public readonly ref struct ForwardBatch
{
    /// <summary>The token of each row, <c>[rows]</c>.</summary>
    public required ReadOnlySpan<int> Tokens { get; init; }

    /// <summary>The position of each row in its sequence, <c>[rows]</c>.</summary>
    public required ReadOnlySpan<int> Positions { get; init; }

    /// <summary>
    /// The row before each row, counted from the sequence's first row in this batch and earlier than the row itself; −1 where the cached context comes before.
    /// A chain is parent = row − 1. <c>[rows]</c>.
    /// </summary>
    public required ReadOnlySpan<int> Parents { get; init; }

    /// <summary>Where each sequence's rows begin, and the number of rows at the end: <c>[sequences + 1]</c>.</summary>
    public required ReadOnlySpan<int> SequenceStarts { get; init; }

    /// <summary>The rows whose logits are wanted, ascending.</summary>
    public required ReadOnlySpan<int> OutputRows { get; init; }

    /// <summary>Each sequence's table, <c>[sequences]</c>: its last rows are this batch's, already appended.</summary>
    public required ReadOnlySpan<KvTable> Tables { get; init; }
}

/// <summary>What a forward pass writes.</summary>
public readonly ref struct ForwardOutputs
{
    /// <summary><c>[OutputRows, vocabulary]</c>.</summary>
    public required Matrix Logits { get; init; }

    /// <summary>The states before the head (after the final norm), <c>[OutputRows, hidden]</c>; no rows where they are not wanted.</summary>
    public Matrix Hidden { get; init; }

    /// <summary>Receives the states of all rows after the embedding (0) and after each layer, for evaluation; null otherwise.</summary>
    public IHiddenStateObserver? Observer { get; init; }
}

/// <summary>Sees the hidden states as a forward pass makes them.</summary>
public interface IHiddenStateObserver
{
    /// <summary>Called after the embedding (<paramref name="index"/> 0) and after layer <paramref name="index"/>; the last one after the final norm.</summary>
    /// <param name="index">0 to the number of layers.</param>
    /// <param name="states"><c>[rows, hidden]</c>.</param>
    void OnHiddenStates(int index, Matrix states);
}
