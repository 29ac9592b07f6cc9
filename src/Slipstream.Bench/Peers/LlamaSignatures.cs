using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Slipstream.Bench;

/// <summary>
/// Room for any of llama.cpp's parameter structs. They are returned through a hidden pointer and passed by value in memory, and the
/// library reads and writes only as many bytes as its version has: a block that is longer than any of them fits all versions.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = Length)]
internal struct ParameterBlock
{
    private const int Length = 1024;
    private long _first;

    /// <summary>The block as 32-bit words.</summary>
    [UnscopedRef]
    public Span<int> Words => MemoryMarshal.Cast<ParameterBlock, int>(new Span<ParameterBlock>(ref this));

    /// <summary>The block as bytes.</summary>
    [UnscopedRef]
    public Span<byte> Bytes => MemoryMarshal.AsBytes(new Span<ParameterBlock>(ref this));
}

/// <summary>llama.cpp's <c>llama_batch</c>; it has had this layout since 2024.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LlamaBatch
{
    public int Count;
    public nint Tokens, Embeddings, Positions, SequenceCounts, Sequences, Outputs;
}

/// <summary>The functions of llama.cpp's C API that are called, as delegates.</summary>
internal static class LlamaSignatures
{
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void Call();
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void CallWithPath([MarshalAs(UnmanagedType.LPUTF8Str)] string path);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void CallOn(nint handle);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint Get();
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint GetFrom(nint handle);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Count(nint handle);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate ParameterBlock Defaults();
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate ParameterBlock DefaultsFor(int threads);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint CreatePool(ref ParameterBlock parameters);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void AttachPool(nint context, nint pool, nint batchPool);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint Load([MarshalAs(UnmanagedType.LPUTF8Str)] string path, ParameterBlock parameters);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint CreateContext(nint model, ParameterBlock parameters);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Decode(nint context, LlamaBatch batch);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint Row(nint context, int index);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate byte Remove(nint memory, int sequence, int from, int to);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void CopySequence(nint memory, int from, int to, int first, int end);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void SetThreads(nint context, int threads, int batchThreads);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Tokenize(nint vocabulary, byte[] text, int length, int[] tokens, int room, byte addSpecial, byte parseSpecial);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Describe(nint model, byte[] text, nuint room);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void SetLog(Log? callback, nint data);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void Log(int level, nint text, nint data);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate uint Quantize([MarshalAs(UnmanagedType.LPUTF8Str)] string from, [MarshalAs(UnmanagedType.LPUTF8Str)] string to, ref ParameterBlock parameters);
}
