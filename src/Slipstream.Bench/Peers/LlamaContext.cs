using System.Runtime.InteropServices;
using static Slipstream.Bench.LlamaSignatures;

namespace Slipstream.Bench;

/// <summary>One of llama.cpp's contexts: the cache of some sequences, and passes over them.</summary>
internal sealed class LlamaContext : IDisposable
{
    private const int Batch = 512;
    private readonly LlamaLibrary _library;
    private readonly Decode _decode;
    private readonly Row _logits;
    private readonly Remove _remove;
    private readonly CopySequence _copy;
    private readonly CallOn _synchronize;
    private readonly nint _memory, _arrays;
    private readonly int _vocabulary, _room;
    private readonly int[] _rows, _tokens;
    private readonly float[] _row;
    private LlamaBatch _batch;
    private nint _numbers;

    /// <summary>Makes a context.</summary>
    /// <param name="library">The library.</param>
    /// <param name="model">The loaded model.</param>
    /// <param name="vocabulary">Its tokens.</param>
    /// <param name="sequences">The most sequences.</param>
    /// <param name="cached">The most cached rows of each.</param>
    /// <param name="rows">The most rows of a pass.</param>
    /// <param name="outputs">The most rows with logits.</param>
    /// <param name="threads">Threads.</param>
    /// <exception cref="SlipstreamException">The library cannot make it.</exception>
    public LlamaContext(LlamaLibrary library, nint model, int vocabulary, int sequences, int cached, int rows, int outputs, int threads)
    {
        (_library, _vocabulary) = (library, vocabulary);
        _room = Math.Max(rows, Batch);
        // The library divides the rows among the sequences and rounds each share up to 256.
        int each = (cached + 255) / 256 * 256;
        ParameterBlock parameters = library.Function<Defaults>("llama_context_default_params")();
        LlamaLayouts.SetContext(ref parameters, library.Folder, sequences * each, _room, Batch, sequences, Math.Max(outputs, sequences), threads);
        Handle = library.Function<CreateContext>("llama_init_from_model")(model, parameters);
        if (Handle == 0) throw new SlipstreamException($"llama.cpp could not make a context of {sequences} sequences of {each} rows: {LlamaContender.LastLine(library.TakeLog())}");
        library.Function<SetThreads>("llama_set_n_threads")(Handle, threads, threads);
        _decode = library.Function<Decode>("llama_decode");
        _logits = library.Function<Row>("llama_get_logits_ith");
        _remove = library.Function<Remove>("llama_memory_seq_rm");
        _copy = library.Function<CopySequence>("llama_memory_seq_cp");
        _synchronize = library.Function<CallOn>("llama_synchronize");
        _memory = library.Function<GetFrom>("llama_get_memory")(Handle);
        (_rows, _tokens, _row) = (new int[sequences], new int[_room], new float[vocabulary]);
        (_batch, _arrays) = MakeBatch(_room, sequences);
    }

    /// <summary>The library's handle.</summary>
    public nint Handle { get; private set; }

    /// <summary>Gives the first sequences that many cached rows each.</summary>
    public void Bring(int sequences, int depth)
    {
        Truncate(sequences, depth);
        int[] tokens = new int[Batch];
        while (_rows[0] < depth)
        {
            int count = Math.Min(Batch, depth - _rows[0]);
            for (int i = 0; i < count; i++) tokens[i] = (int)((_rows[0] + i) * 7919L % _vocabulary);
            Forward(tokens.AsSpan(0, count), 1, all: false);
        }
        for (int s = 1; s < sequences; s++)
        {
            if (_rows[s] == depth) continue;
            _remove(_memory, s, -1, -1);
            if (depth > 0) _copy(_memory, 0, s, -1, -1);
            _rows[s] = depth;
        }
    }

    /// <summary>Keeps the first rows of the first sequences.</summary>
    public void Truncate(int sequences, int depth)
    {
        for (int s = 0; s < sequences; s++)
        {
            if (_rows[s] <= depth) continue;
            _remove(_memory, s, depth, -1);
            _rows[s] = depth;
        }
    }

    /// <summary>One pass of as many rows for each of the first sequences.</summary>
    public void Forward(ReadOnlySpan<int> tokens, int sequences, bool all)
    {
        int each = tokens.Length / sequences;
        tokens.CopyTo(_tokens);
        Marshal.Copy(_tokens, 0, _batch.Tokens, tokens.Length);
        for (int i = 0; i < tokens.Length; i++)
        {
            int sequence = i / each;
            Marshal.WriteInt32(_batch.Positions, i * sizeof(int), _rows[sequence] + i % each);
            Marshal.WriteIntPtr(_batch.Sequences, i * IntPtr.Size, _numbers + sequence * sizeof(int));
            Marshal.WriteByte(_batch.Outputs, i, all || i % each == each - 1 ? (byte)1 : (byte)0);
        }
        _batch.Count = tokens.Length;
        int code = _decode(Handle, _batch);
        if (code != 0) throw new SlipstreamException($"llama_decode of {tokens.Length} tokens gave {code}: {LlamaContender.LastLine(_library.TakeLog())}");
        _synchronize(Handle);
        for (int s = 0; s < sequences; s++) _rows[s] += each;
    }

    /// <summary>The best token after a row of the last pass.</summary>
    public int Best(int row)
    {
        Marshal.Copy(_logits(Handle, row), _row, 0, _row.Length);
        return Greatest.Index(_row);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Handle == 0) return;
        _library.Function<CallOn>("llama_free")(Handle);
        Marshal.FreeHGlobal(_arrays);
        Handle = 0;
    }

    private (LlamaBatch Batch, nint Memory) MakeBatch(int room, int sequences)
    {
        // pointers to sequence numbers, tokens, positions, sequence counts, the numbers themselves, outputs.
        nint memory = Marshal.AllocHGlobal(room * (3 * sizeof(int) + IntPtr.Size + 1) + sequences * sizeof(int));
        nint pointers = memory, tokens = pointers + room * IntPtr.Size, positions = tokens + room * sizeof(int), counts = positions + room * sizeof(int);
        _numbers = counts + room * sizeof(int);
        nint outputs = _numbers + sequences * sizeof(int);
        for (int s = 0; s < sequences; s++) Marshal.WriteInt32(_numbers, s * sizeof(int), s);
        for (int i = 0; i < room; i++) Marshal.WriteInt32(counts, i * sizeof(int), 1);
        return (new LlamaBatch { Tokens = tokens, Positions = positions, SequenceCounts = counts, Sequences = pointers, Outputs = outputs }, memory);
    }
}
