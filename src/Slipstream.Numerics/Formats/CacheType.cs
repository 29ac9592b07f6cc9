namespace Slipstream.Numerics;

/// <summary>How cached keys and values are stored. A row is rounded when it is written and read back as stored, even in the step that wrote it.</summary>
public enum CacheType
{
    /// <summary>Four bytes a number, as computed.</summary>
    F32,

    /// <summary>IEEE 754 half precision, two bytes a number; what is too large for it is stored as the largest finite half.</summary>
    F16,

    /// <summary>Groups of up to 32 numbers of one head as signed bytes with one half scale, the largest magnitude over 127: 34 bytes for 32 numbers (llama.cpp's <c>q8_0</c>).</summary>
    Q8,

    /// <summary>bfloat16, two bytes a number, rounded to nearest, ties to even, in the order in which attention in bfloat16 reads: attention over it rounds the rest too (ADR 21).</summary>
    Bf16,
}
