using static TorchSharp.torch;

namespace Slipstream.Distillation.Training;

/// <summary>The token stream of a run: what is trained on, and what is held out.</summary>
/// <remarks>Documents follow each other with an end-of-text token between; windows pay no heed to where they begin.</remarks>
internal sealed class TokenDataset
{
    private readonly int[] _training, _heldOut;

    /// <param name="training">Token ids to train on.</param>
    /// <param name="heldOut">Token ids to evaluate on.</param>
    /// <param name="trainingBytes">Bytes of UTF-8 that the first stand for, without the separators.</param>
    /// <param name="heldOutBytes">Bytes of UTF-8 that the second stand for, without the separators.</param>
    /// <param name="fingerprint">What the tokens were made from, as one number.</param>
    public TokenDataset(int[] training, int[] heldOut, long trainingBytes, long heldOutBytes, string fingerprint)
    {
        _training = training;
        _heldOut = heldOut;
        (TrainingBytes, HeldOutBytes, Fingerprint) = (trainingBytes, heldOutBytes, fingerprint);
    }

    /// <summary>Tokens to train on. The held-out ones follow them in the token file.</summary>
    public ReadOnlyMemory<int> Training => _training;

    /// <summary>Tokens to evaluate on.</summary>
    public ReadOnlyMemory<int> HeldOut => _heldOut;

    /// <summary>Bytes of text behind <see cref="Training"/>.</summary>
    public long TrainingBytes { get; }

    /// <summary>Bytes of text behind <see cref="HeldOut"/>.</summary>
    public long HeldOutBytes { get; }

    /// <summary>Bytes of a held-out token, on average; 0 where nothing is held out.</summary>
    public double BytesPerToken => _heldOut.Length > 0 ? (double)HeldOutBytes / _heldOut.Length : TrainingBytes / (double)Math.Max(1, _training.Length);

    /// <summary>What the tokens were made from, as one number.</summary>
    public string Fingerprint { get; }

    /// <summary>Windows of an epoch: the same number whatever the phase.</summary>
    public int Windows(int length) => Math.Max(0, (_training.Length - length) / length);

    /// <summary>The windows of a batch: a pure function of the seed and the batch's number.</summary>
    /// <param name="order">The order of windows.</param>
    /// <param name="number">The number of the batch, counted over the whole run.</param>
    /// <param name="batch">Windows of it.</param>
    public TrainingBatch Batch(WindowOrder order, long number, int batch)
    {
        long[] offsets = new long[batch];
        for (int i = 0; i < batch; i++) offsets[i] = order.Offset(number * batch + i);
        return Read(_training, 0, offsets, order.Length);
    }

    /// <summary>Evenly spread windows of the held-out tokens, in batches of at most <paramref name="batch"/>; the last one may be shorter.</summary>
    public IEnumerable<TrainingBatch> HeldOutBatches(int length, int batch, int tokens)
    {
        // A text shorter than a window is one window.
        int window = Math.Min(length, _heldOut.Length - 1);
        foreach (long[] part in HeldOutOffsets(window, tokens).Chunk(batch)) yield return Read(_heldOut, _training.Length, part, window);
    }

    /// <summary>Where those windows begin in the held-out tokens; none where there are too few tokens for one.</summary>
    public long[] HeldOutOffsets(int window, int tokens)
    {
        if (window < 1 || _heldOut.Length <= window) return [];
        int available = (_heldOut.Length - 1) / window, wanted = Math.Clamp(tokens / window, 1, available);
        return [.. Enumerable.Range(0, wanted).Select(i => (long)i * available / wanted * window)];
    }

    private static TrainingBatch Read(int[] tokens, long fileOffset, long[] offsets, int length)
    {
        long[] inputs = new long[offsets.Length * length], targets = new long[offsets.Length * length];
        for (int i = 0; i < offsets.Length; i++)
        {
            ReadOnlySpan<int> window = tokens.AsSpan((int)offsets[i], length + 1);
            for (int t = 0; t < length; t++) (inputs[i * length + t], targets[i * length + t]) = (window[t], window[t + 1]);
        }
        return new TrainingBatch(tensor(inputs, [offsets.Length, length]), tensor(targets, [offsets.Length, length]), [.. offsets.Select(offset => offset + fileOffset)]);
    }
}

/// <summary>Which window comes when: each epoch a new permutation and a new phase of the windows, both functions of (seed, epoch) alone.</summary>
/// <param name="seed">The seed.</param>
/// <param name="windows">Windows of an epoch.</param>
/// <param name="length">Tokens of a window.</param>
/// <param name="isShifted">Whether there is a phase; without one, windows begin at multiples of their length.</param>
internal sealed class WindowOrder(ulong seed, int windows, int length, bool isShifted = true)
{
    private int[] _permutation = [];
    private long _epoch = -1;
    private int _phase;

    /// <summary>Tokens of a window.</summary>
    public int Length => length;

    /// <summary>Windows of an epoch.</summary>
    public int Windows => windows;

    /// <summary>Where the window of this number, counted over the whole run, begins.</summary>
    public long Offset(long number)
    {
        long epoch = number / windows;
        if (epoch != _epoch) Shuffle(epoch);
        return _phase + (long)_permutation[number % windows] * length;
    }

    private void Shuffle(long epoch)
    {
        ulong state = Mix(seed ^ Mix((ulong)epoch + 0x51ED2701));
        _phase = (int)(Next(ref state) % (ulong)length);
        if (!isShifted) _phase = 0;
        _permutation = new int[windows];
        for (int i = 0; i < windows; i++)
        {
            int j = (int)(Next(ref state) % (ulong)(i + 1));
            _permutation[i] = _permutation[j];
            _permutation[j] = i;
        }
        _epoch = epoch;
    }

    // SplitMix64 (Steele, Lea and Flood 2014); its bias over a range this small is below 2^-30.
    private static ulong Next(ref ulong state) => Mix(state += 0x9E3779B97F4A7C15);

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
