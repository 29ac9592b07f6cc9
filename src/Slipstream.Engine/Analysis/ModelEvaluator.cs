using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Analysis;

/// <summary>Perplexity of a text.</summary>
/// <param name="Perplexity"><c>exp(Nll)</c>.</param>
/// <param name="Nll">Mean negative log-likelihood of a scored token, in nats.</param>
/// <param name="Tokens">Tokens of the text.</param>
/// <param name="Scored">Tokens scored: all but the first.</param>
public sealed record PerplexityResult(double Perplexity, double Nll, int Tokens, int Scored);

/// <summary>Receives rows as they are computed.</summary>
/// <param name="row">The index of the token.</param>
/// <param name="logits">The logits after it, <c>[vocabulary]</c>; valid during the call.</param>
public delegate void LogitsRow(int row, ReadOnlySpan<float> logits);

/// <summary>Receives the rows of a chunk at once; they may be overwritten.</summary>
/// <param name="firstRow">The index of the first row's token.</param>
/// <param name="logits"><c>[rows, vocabulary]</c>, not checked for being finite; valid during the call.</param>
internal delegate void LogitsChunk(int firstRow, Matrix logits);

/// <summary>Runs a model over given tokens, without generating: logits, hidden states, perplexity. For one thread at a time.</summary>
public sealed class ModelEvaluator : IDisposable
{
    private readonly LoadedModel _loaded;
    private readonly KvLayout _layout;
    private readonly int _blockRows;
    private readonly int _chunk;
    private readonly NativeBuffer<float> _logits;
    private KvStore? _store;

    private ModelEvaluator(LoadedModel loaded, ModelOptions options)
    {
        _loaded = loaded;
        _layout = options.KvLayout(loaded.Model.Config);
        _blockRows = options.KvBlock;
        // Logits of a chunk are held at once, so chunks are kept small where the vocabulary is large.
        _chunk = Math.Min(loaded.Model.MaxRows, Math.Min(options.PrefillChunk, Math.Max(16, 16 * 1024 * 1024 / loaded.Model.Config.VocabularySize)));
        _logits = new NativeBuffer<float>((long)_chunk * loaded.Model.Config.VocabularySize);
    }

    /// <summary>Loads a checkpoint for evaluation.</summary>
    /// <exception cref="SlipstreamException">It cannot be used.</exception>
    public static ModelEvaluator Load(string path, ModelOptions? options = null)
    {
        options ??= new ModelOptions();
        return new ModelEvaluator(LoadedModel.Load(path, options with { MaxBatch = 1, Drafter = null }), options);
    }

    /// <summary>The model's shape.</summary>
    public ModelConfig Config => _loaded.Model.Config;

    /// <summary>The tokenizer.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public Tokenizer Tokenizer => _loaded.Tokenizer;

    /// <summary>The threads that compute; free during a callback.</summary>
    internal ComputePool Pool => _loaded.Pool;

    /// <summary>The weights, for a fingerprint.</summary>
    internal Checkpoint Checkpoint => _loaded.Checkpoint;

    /// <summary>Computes the logits after every token from <paramref name="firstRow"/> on.</summary>
    /// <param name="tokens">The tokens, at most the context length.</param>
    /// <param name="onRow">Called once a row, in order.</param>
    /// <param name="firstRow">Rows before it are computed but their logits are not.</param>
    /// <param name="observer">Receives hidden states chunk by chunk, or null.</param>
    /// <param name="cancellationToken">Ends the work between chunks.</param>
    /// <exception cref="SlipstreamException">There is no token, one too many, or one outside the vocabulary; or the logits are not finite.</exception>
    public void Logits(ReadOnlySpan<int> tokens, LogitsRow onRow, int firstRow = 0, IHiddenStateObserver? observer = null, CancellationToken cancellationToken = default)
    {
        Chunks(tokens, (first, logits) =>
        {
            for (int row = 0; row < logits.Rows; row++)
            {
                if (!Sampling.RowCheck.IsFinite(logits[row])) throw NotFinite(first + row);
                onRow(first + row, logits[row]);
            }
        }, firstRow, observer, cancellationToken);
    }

    /// <summary>As <see cref="Logits"/>, a chunk at a time, so that the receiver can share the rows out to threads.</summary>
    internal void Chunks(ReadOnlySpan<int> tokens, LogitsChunk onChunk, int firstRow = 0, IHiddenStateObserver? observer = null, CancellationToken cancellationToken = default)
    {
        Check(tokens);
        int vocabulary = Config.VocabularySize, blocks = (tokens.Length + _blockRows - 1) / _blockRows;
        if (_store is null || _store.Blocks < blocks)
        {
            _store?.Dispose();
            _store = new KvStore(_layout, blocks, _blockRows);
        }
        KvTable table = new(_store);
        int[] indices = new int[_chunk], parents = [.. Enumerable.Range(-1, _chunk)], outputs = new int[_chunk];
        try
        {
            for (int from = 0; from < tokens.Length; from += _chunk)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int rows = Math.Min(_chunk, tokens.Length - from), skipped = Math.Clamp(firstRow - from, 0, rows), wanted = rows - skipped;
                for (int row = 0; row < rows; row++) table.Append(indices[row] = from + row);
                for (int i = 0; i < wanted; i++) outputs[i] = skipped + i;
                Matrix logits = new(_logits.Span(0, wanted * vocabulary), wanted, vocabulary);
                _loaded.Model.Forward(
                    new ForwardBatch
                    {
                        Tokens = tokens.Slice(from, rows), Positions = indices.AsSpan(0, rows), Parents = parents.AsSpan(0, rows),
                        SequenceStarts = [0, rows], OutputRows = outputs.AsSpan(0, wanted), Tables = [table],
                    },
                    new ForwardOutputs { Logits = logits, Observer = observer });
                if (wanted > 0) onChunk(from + skipped, logits);
            }
        }
        finally
        {
            table.Truncate(0);
        }
    }

    /// <summary>
    /// Perplexity over windows of <paramref name="window"/> tokens that move by <paramref name="stride"/>: each token but the first is scored once, with the longest context a window gives it.
    /// No begin token is added.
    /// </summary>
    /// <param name="tokens">The text's tokens, at least 2.</param>
    /// <param name="window">Tokens in a window, 2 to the context length; null takes the context length.</param>
    /// <param name="stride">Tokens a window moves by, 1 to the window; null takes half the window.</param>
    /// <param name="progress">Receives the share done, 0 to 1.</param>
    /// <param name="cancellationToken">Ends the work between chunks.</param>
    /// <exception cref="SlipstreamException">The text is too short or an option is out of range.</exception>
    public PerplexityResult Perplexity(ReadOnlySpan<int> tokens, int? window = null, int? stride = null, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        int width = window ?? Config.ContextLength, step = stride ?? Math.Max(1, width / 2);
        if (width < 2 || width > Config.ContextLength) throw new SlipstreamException($"The window is {width}; it must be 2 to the context length, {Config.ContextLength}.");
        if (step < 1 || step > width) throw new SlipstreamException($"The stride is {step}; it must be 1 to the window, {width}.");
        if (tokens.Length < 2) throw new SlipstreamException($"The text has {tokens.Length} token(s); perplexity needs at least 2.");
        int[] all = tokens.ToArray();
        double nll = 0;
        int scored = 0;
        for (int begin = 0, done = 1; done < all.Length; begin += step)
        {
            int start = begin, end = Math.Min(begin + width, all.Length);
            // The row of a token predicts the next one.
            Logits(all.AsSpan(start, end - start), (row, logits) =>
            {
                int next = start + row + 1;
                if (next >= end) return;
                nll -= LogProbability(logits, all[next]);
                scored++;
                if ((scored & 63) == 0) progress?.Report((double)scored / (all.Length - 1));
            }, done - 1 - start, cancellationToken: cancellationToken);
            done = end;
        }
        progress?.Report(1);
        return new PerplexityResult(Math.Exp(nll / scored), nll / scored, all.Length, scored);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _logits.Dispose();
        _store?.Dispose();
        _loaded.Dispose();
    }

    /// <summary>What stands against a row that is not finite.</summary>
    internal SlipstreamException NotFinite(int row) =>
        new(_loaded.Model.FindInvalidWeight() ?? $"The model gave logits that are not finite after token {row}; its arithmetic overflows on this input.");

    /// <summary>The log-probability of a token under a row of logits.</summary>
    internal static double LogProbability(ReadOnlySpan<float> logits, int token)
    {
        float max = float.NegativeInfinity;
        foreach (float x in logits) max = MathF.Max(max, x);
        double sum = 0;
        foreach (float x in logits) sum += MathF.Exp(x - max);
        return logits[token] - max - Math.Log(sum);
    }

    private void Check(ReadOnlySpan<int> tokens)
    {
        if (tokens.IsEmpty) throw new SlipstreamException("There are no tokens; give at least one.");
        if (tokens.Length > Config.ContextLength) throw new SlipstreamException($"There are {tokens.Length} tokens, but the context of '{_loaded.Checkpoint.Path}' is {Config.ContextLength}.");
        foreach (int token in tokens)
            if ((uint)token >= (uint)Config.VocabularySize) throw new SlipstreamException($"The token {token} is not in the vocabulary of {Config.VocabularySize}; ids run from 0 to {Config.VocabularySize - 1}.");
    }
}
