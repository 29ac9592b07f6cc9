using System.Buffers.Binary;

namespace Slipstream.Models;

/// <summary>The value types of GGUF metadata, with their numbers in the file. Source: the GGUF specification, <c>gguf_metadata_value_type</c>.</summary>
internal enum GgufType
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}

/// <summary>Where a metadata value lies in the file. Values are decoded when asked for: a vocabulary of 256,000 texts costs nothing until then.</summary>
/// <param name="Type">Its type.</param>
/// <param name="Offset">The first byte of its payload in the file: of a text after its length, of a list after its count.</param>
/// <param name="Length">Bytes of the payload.</param>
/// <param name="Element">The type of the elements of a list.</param>
/// <param name="Count">Their number.</param>
internal readonly record struct GgufValue(GgufType Type, long Offset, long Length, GgufType Element = default, long Count = 0)
{
    public bool IsInteger => IsIntegerType(Type);

    public static bool IsIntegerType(GgufType type) => type is not (GgufType.Float32 or GgufType.Float64 or GgufType.Bool or GgufType.String or GgufType.Array);

    /// <summary>The fewest bytes a value takes; for all but texts and lists, exactly what it takes.</summary>
    public static int SizeOf(GgufType type) => type switch
    {
        GgufType.UInt8 or GgufType.Int8 or GgufType.Bool => 1,
        GgufType.UInt16 or GgufType.Int16 => 2,
        GgufType.UInt32 or GgufType.Int32 or GgufType.Float32 => 4,
        GgufType.Array => 12,
        _ => 8,
    };

    /// <summary>Reads an integer of any width.</summary>
    public static Int128 ReadInteger(GgufType type, ReadOnlySpan<byte> bytes) => type switch
    {
        GgufType.UInt8 => bytes[0],
        GgufType.Int8 => (sbyte)bytes[0],
        GgufType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        GgufType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(bytes),
        GgufType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        GgufType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(bytes),
        GgufType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        _ => BinaryPrimitives.ReadInt64LittleEndian(bytes),
    };

    /// <summary>Reads a float of either width.</summary>
    public static double ReadFloat(GgufType type, ReadOnlySpan<byte> bytes) => type == GgufType.Float32
        ? BinaryPrimitives.ReadSingleLittleEndian(bytes)
        : BinaryPrimitives.ReadDoubleLittleEndian(bytes);

    /// <summary>What the value is, for messages.</summary>
    public string Kind => Type == GgufType.Array ? $"a list of {Plural(Element)}" : Singular(Type);

    private static string Singular(GgufType type) => type switch
    {
        GgufType.String => "a text",
        GgufType.Bool => "a boolean",
        GgufType.Float32 or GgufType.Float64 => "a float",
        _ => "a whole number",
    };

    private static string Plural(GgufType type) => type switch
    {
        GgufType.Array => "lists",
        _ => Singular(type)[2..] + "s",
    };
}
