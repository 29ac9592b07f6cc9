using Slipstream.Numerics;

namespace Slipstream.Speculation;

/// <summary>
/// Speculated continuations of one sequence. Nodes are in topological order; siblings are tried in order. Empty means plain decoding.
/// Allocates nothing once its capacity is reached.
/// </summary>
public sealed class DraftTree
{
    private int[] _tokens = new int[16], _parents = new int[16], _proposals = new int[16];
    private NativeBuffer<float>? _rows;
    private int _rowCount;

    /// <summary>Creates an empty tree over a vocabulary.</summary>
    public DraftTree(int vocabulary) => Vocabulary = vocabulary;

    /// <summary>Tokens in a distribution.</summary>
    public int Vocabulary { get; }

    /// <summary>Number of nodes.</summary>
    public int Count { get; private set; }

    /// <summary>The token of a node.</summary>
    public int Token(int node) => _tokens[node];

    /// <summary>The parent of a node, or −1 where it follows the committed tokens.</summary>
    public int Parent(int node) => _parents[node];

    /// <summary>The distribution the node's token was drawn from, or empty where the drafter was certain (a point mass).</summary>
    public ReadOnlySpan<float> Proposal(int node) => _proposals[node] < 0 ? default : Row(_proposals[node]);

    /// <summary>Removes all nodes and distributions.</summary>
    public void Clear() => Count = _rowCount = 0;

    /// <summary>Reserves a distribution, to be filled by the caller, and gives its index for <see cref="Add"/>.</summary>
    /// <returns>The index, for <see cref="Add"/> and <see cref="Row"/>.</returns>
    public int AddRow()
    {
        if (_rows is null || (long)(_rowCount + 1) * Vocabulary > _rows.Length)
        {
            NativeBuffer<float> grown = new((long)Math.Max(4, _rowCount * 2) * Vocabulary);
            for (int row = 0; row < _rowCount; row++) Row(row).CopyTo(grown.Span((long)row * Vocabulary, Vocabulary));
            _rows?.Dispose();
            _rows = grown;
        }
        return _rowCount++;
    }

    /// <summary>A reserved distribution, <c>[vocabulary]</c>.</summary>
    public Span<float> Row(int index) => _rows!.Span((long)index * Vocabulary, Vocabulary);

    /// <summary>Adds a node.</summary>
    /// <param name="token">Its token.</param>
    /// <param name="parent">An earlier node, or −1.</param>
    /// <param name="row">The distribution it was drawn from, or −1 for a point mass.</param>
    /// <returns>The node.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The parent or the distribution does not exist.</exception>
    public int Add(int token, int parent, int row = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(parent, Count);
        ArgumentOutOfRangeException.ThrowIfLessThan(parent, -1);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, _rowCount);
        if (Count == _tokens.Length)
        {
            Array.Resize(ref _tokens, Count * 2);
            Array.Resize(ref _parents, Count * 2);
            Array.Resize(ref _proposals, Count * 2);
        }
        (_tokens[Count], _parents[Count], _proposals[Count]) = (token, parent, row);
        return Count++;
    }

    /// <summary>Removes the nodes from <paramref name="count"/> on.</summary>
    public void Truncate(int count) => Count = Math.Min(Count, count);

    /// <summary>Writes the tokens from the root to <paramref name="node"/> (−1: none) and returns how many there are.</summary>
    public int Path(int node, Span<int> tokens)
    {
        int depth = 0;
        for (int at = node; at >= 0; at = _parents[at]) depth++;
        for (int at = node, i = depth; at >= 0; at = _parents[at]) tokens[--i] = _tokens[at];
        return depth;
    }

    /// <summary>Frees the distributions.</summary>
    public void Release()
    {
        _rows?.Dispose();
        _rows = null;
        Clear();
    }
}
