using System.Diagnostics;
using Slipstream.Analysis;
using Slipstream.Numerics;
using Slipstream.Sampling;

namespace Slipstream.Distillation.Drafts;

/// <summary>How far a cache is.</summary>
/// <param name="Done">Windows in the file.</param>
/// <param name="Windows">Windows in all.</param>
/// <param name="PositionsPerSecond">Positions computed by this process over its time; 0 before the first window.</param>
/// <param name="Left">Time left at this speed.</param>
internal readonly record struct TeacherProgress(int Done, int Windows, double PositionsPerSecond, TimeSpan Left);

/// <summary>Runs a target over windows of tokens and keeps what it says.</summary>
/// <remarks>Windows are appended to a <c>.partial</c> file, which a later run of the same key goes on with after checking every window of it; the file gets its name when it is whole.</remarks>
internal sealed class TeacherCacheBuilder
{
    private readonly ModelEvaluator _target;
    private readonly TeacherCacheKey _key;
    private readonly int[] _tokens;
    private readonly long[] _offsets;
    private readonly int[] _best;
    private readonly float[] _logProbabilities;
    private readonly double[] _rest;
    private readonly ulong[][] _keys;

    /// <param name="target">The target.</param>
    /// <param name="key">What the cache is made of.</param>
    /// <param name="tokens">The token stream.</param>
    /// <param name="offsets">Where windows begin in it.</param>
    public TeacherCacheBuilder(ModelEvaluator target, TeacherCacheKey key, int[] tokens, long[] offsets)
    {
        (_target, _key, _tokens, _offsets) = (target, key, tokens, offsets);
        _best = new int[key.Length * key.Best];
        _logProbabilities = new float[_best.Length];
        _rest = new double[key.Length];
        _keys = [.. Enumerable.Range(0, target.Pool.Threads).Select(_ => new ulong[TeacherRow.KeysFor(key.Best)])];
    }

    /// <summary>Bytes that are still to be written to a folder.</summary>
    public static long BytesNeeded(string folder, TeacherCacheKey key)
    {
        string path = Path.Combine(folder, key.FileName), partial = path + ".partial";
        return File.Exists(path) ? 0 : Math.Max(0, key.FileBytes - (File.Exists(partial) ? new FileInfo(partial).Length : 0));
    }

    /// <summary>Opens the cache of a folder, made or completed first where it is not whole.</summary>
    /// <exception cref="SlipstreamException">The disk is too small, the file cannot be written, or what is there was made of something else.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; what was computed stays for the next run.</exception>
    public TeacherCache Build(string folder, IProgress<TeacherProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        string path = Path.Combine(folder, _key.FileName), partial = path + ".partial";
        if (!File.Exists(path))
        {
            try
            {
                Directory.CreateDirectory(folder);
                RequireSpace(folder, BytesNeeded(folder, _key));
                using (FileStream stream = new(partial, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1 << 16))
                {
                    int done = Resume(partial, stream);
                    Append(stream, done, progress, cancellationToken);
                    stream.Flush(flushToDisk: true);
                }
                File.Move(partial, path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new SlipstreamException($"The teacher cache '{path}' cannot be written: {e.Message.TrimEnd('.')}; free space, or choose another folder with --cache.", e);
            }
        }
        return TeacherCache.Open(path, _key, _offsets);
    }

    private static void RequireSpace(string folder, long bytes)
    {
        long free = new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;
        if (bytes > free)
            throw new SlipstreamException($"The teacher cache in '{folder}' needs {Mebibytes(bytes)} MiB, but the disk has {Mebibytes(free)} MiB free; free space, lower --top-k, or take less text.");
        static long Mebibytes(long value) => value >> 20;
    }

    /// <summary>Checks what an earlier run left, cuts off a half window, and returns how many windows stand.</summary>
    private int Resume(string partial, FileStream stream)
    {
        byte[] header = _key.Header();
        if (stream.Length < header.Length)
        {
            stream.SetLength(0);
            stream.Write(header);
            return 0;
        }
        _key.Require(partial, stream);
        byte[] record = new byte[_key.WindowBytes];
        int whole = 0;
        while (whole < _key.Windows && TeacherCache.IsWhole(record.AsSpan(0, stream.ReadAtLeast(record, record.Length, throwOnEndOfStream: false)), record.Length)) whole++;
        stream.SetLength(header.Length + (long)whole * record.Length);
        stream.Position = stream.Length;
        return whole;
    }

    private void Append(FileStream stream, int done, IProgress<TeacherProgress>? progress, CancellationToken cancellationToken)
    {
        byte[] record = new byte[_key.WindowBytes];
        long start = Stopwatch.GetTimestamp();
        for (int window = done; window < _offsets.Length; window++)
        {
            // Without a token: a window is short, and what is computed of it would be lost.
            cancellationToken.ThrowIfCancellationRequested();
            _target.Chunks(_tokens.AsSpan((int)_offsets[window], _key.Length), Keep, cancellationToken: CancellationToken.None);
            TeacherCache.Write(record, _key, _best, _logProbabilities, _rest);
            stream.Write(record);
            double speed = (window + 1 - done) * (double)_key.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
            progress?.Report(new TeacherProgress(window + 1, _offsets.Length, speed, TimeSpan.FromSeconds((_offsets.Length - window - 1) * (double)_key.Length / speed)));
        }
    }

    private void Keep(int firstRow, Matrix logits)
    {
        SelectJob job = new(this, firstRow, logits);
        _target.Pool.For(ref job, logits.Rows);
    }

    private readonly ref struct SelectJob(TeacherCacheBuilder owner, int firstRow, Matrix logits) : IRangeJob
    {
        private readonly Matrix _logits = logits;

        public void Execute(int from, int to, int worker)
        {
            int best = owner._key.Best;
            for (int row = from; row < to; row++)
            {
                if (!RowCheck.IsFinite(_logits[row])) throw owner._target.NotFinite(firstRow + row);
                int at = firstRow + row;
                owner._rest[at] = TeacherRow.Select(_logits[row], owner._key.Temperature, owner._best.AsSpan(at * best, best), owner._logProbabilities.AsSpan(at * best, best), owner._keys[worker]);
            }
        }
    }
}
