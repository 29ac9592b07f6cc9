using System.Runtime.InteropServices;

namespace Slipstream.Bench;

/// <summary>OpenVINO's <c>ov_shape_t</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct OpenVinoShape
{
    public long Rank;
    public nint Dimensions;
}

/// <summary>OpenVINO's <c>ov_version_t</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct OpenVinoVersion
{
    public nint BuildNumber, Description;
}

/// <summary>The functions of OpenVINO's C API that are called, as delegates. Source: <c>openvino/c/*.h</c> of 2026.4.</summary>
internal static class OpenVinoSignatures
{
    /// <summary>Numbers of <c>ov_element_type_e</c>.</summary>
    internal const int ElementI32 = 9, ElementI64 = 10;

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate nint LastMessage();
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int GetVersion(ref OpenVinoVersion version);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void FreeVersion(ref OpenVinoVersion version);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Create(out nint handle);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int CreateFrom(nint from, out nint handle);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int ReadModel(nint core, [MarshalAs(UnmanagedType.LPUTF8Str)] string path, [MarshalAs(UnmanagedType.LPUTF8Str)] string? weights, out nint model);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Compile(nint core, nint model, [MarshalAs(UnmanagedType.LPUTF8Str)] string device, nuint count, nint[] properties, out nint compiled);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int CreateTensor(int type, OpenVinoShape shape, nint memory, out nint tensor);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int SetTensor(nint request, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, nint tensor);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int GetTensor(nint request, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, out nint tensor);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int GetData(nint tensor, out nint data);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate int Infer(nint request);
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)] internal delegate void Free(nint handle);
}
