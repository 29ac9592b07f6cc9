using Slipstream.Scheduling;

namespace Slipstream.Speculation;

/// <summary>One sequence's turn to be drafted for.</summary>
/// <param name="Sequence">The sequence; its tokens are all committed.</param>
/// <param name="Budget">The most nodes to add; at least 1.</param>
/// <param name="Tree">The empty tree to fill.</param>
public readonly record struct DraftRequest(Sequence Sequence, int Budget, DraftTree Tree);

/// <summary>
/// Guesses how sequences go on. A drafter heals itself: it keeps whatever it cached that still is a prefix of a sequence, so it needs no word of what was accepted.
/// What it guesses can cost time and never changes the output. Called by one thread.
/// </summary>
public interface IDrafter : IDisposable
{
    /// <summary>Its name in reports: <c>prompt-lookup</c>, <c>draft-model</c>, …</summary>
    string Name { get; }

    /// <summary>Parameters of its model, 0 where it has none.</summary>
    long Parameters { get; }

    /// <summary>Bytes of its weights and cache.</summary>
    (long Weights, long Cache) MemoryBytes { get; }

    /// <summary>Drafts for many sequences at once; may leave trees empty (no guess, no room, context full).</summary>
    void Draft(ReadOnlySpan<DraftRequest> requests);

    /// <summary>Forgets a sequence and frees what it holds.</summary>
    void Release(Sequence sequence);
}
