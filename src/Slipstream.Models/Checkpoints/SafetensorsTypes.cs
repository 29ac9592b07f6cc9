namespace Slipstream.Models;

/// <summary>The element types of safetensors. Source: <c>Dtype</c> of the safetensors reference implementation, 0.6.</summary>
internal static class SafetensorsTypes
{
    /// <summary>Bits of an element, or 0 for a type that does not exist.</summary>
    public static int Bits(string type) => type switch
    {
        "F32" or "I32" or "U32" => 32,
        "F16" or "BF16" or "I16" or "U16" => 16,
        "F64" or "I64" or "U64" or "C64" => 64,
        "BOOL" or "I8" or "U8" or "F8_E4M3" or "F8_E5M2" or "F8_E8M0" => 8,
        "F6_E2M3" or "F6_E3M2" => 6,
        "F4" => 4,
        _ => 0,
    };

    /// <summary>Whether weights of the type can be computed with.</summary>
    public static bool IsSupported(string type) => type is "F32" or "F16" or "BF16";
}
