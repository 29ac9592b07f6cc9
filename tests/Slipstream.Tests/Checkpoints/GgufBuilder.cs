using System.Text;

namespace Slipstream.Tests.Checkpoints;

/// <summary>Writes GGUF files for tests, right ones and wrong ones.</summary>
internal sealed class GgufBuilder
{
    private readonly List<Action<BinaryWriter>> _values = [];
    private readonly List<(string Name, uint Type, ulong[] Dims, byte[] Data, ulong? Offset)> _tensors = [];

    public uint Version { get; init; } = 3;

    public int Alignment { get; init; } = 32;

    public ulong? ClaimedTensors { get; init; }

    public ulong? ClaimedKeys { get; init; }

    public static GgufBuilder Llama() => new GgufBuilder().Add("general.architecture", "llama");

    /// <summary>A key and whatever bytes are to stand for its value, type number first.</summary>
    public GgufBuilder AddRaw(string key, Action<BinaryWriter> value)
    {
        _values.Add(w =>
        {
            Text(w, key);
            value(w);
        });
        return this;
    }

    public GgufBuilder Add(string key, object value) => AddRaw(key, w => Value(w, value));

    /// <summary>A tensor with its dimensions as the file has them, innermost first.</summary>
    public GgufBuilder Tensor(string name, uint type, ulong[] dims, int bytes, ulong? offset = null, byte fill = 0)
    {
        byte[] data = new byte[bytes];
        Array.Fill(data, fill);
        _tensors.Add((name, type, dims, data, offset));
        return this;
    }

    public byte[] Build()
    {
        using MemoryStream stream = new();
        using BinaryWriter w = new(stream);
        w.Write("GGUF"u8);
        w.Write(Version);
        w.Write(ClaimedTensors ?? (ulong)_tensors.Count);
        w.Write(ClaimedKeys ?? (ulong)_values.Count);
        foreach (Action<BinaryWriter> value in _values) value(w);
        ulong next = 0;
        foreach (var (name, type, dims, data, offset) in _tensors)
        {
            Text(w, name);
            w.Write((uint)dims.Length);
            foreach (ulong dim in dims) w.Write(dim);
            w.Write(type);
            w.Write(offset ?? next);
            next += (ulong)((data.Length + Alignment - 1) / Alignment * Alignment);
        }
        foreach (var (_, _, _, data, _) in _tensors)
        {
            while (stream.Length % Alignment != 0) w.Write((byte)0);
            w.Write(data);
        }
        return stream.ToArray();
    }

    public static void Text(BinaryWriter w, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        w.Write((ulong)bytes.Length);
        w.Write(bytes);
    }

    private static void Value(BinaryWriter w, object value)
    {
        w.Write(TypeOf(value.GetType()));
        Payload(w, value);
    }

    private static void Payload(BinaryWriter w, object value)
    {
        switch (value)
        {
            case byte v: w.Write(v); break;
            case sbyte v: w.Write(v); break;
            case ushort v: w.Write(v); break;
            case short v: w.Write(v); break;
            case uint v: w.Write(v); break;
            case int v: w.Write(v); break;
            case ulong v: w.Write(v); break;
            case long v: w.Write(v); break;
            case float v: w.Write(v); break;
            case double v: w.Write(v); break;
            case bool v: w.Write(v); break;
            case string v: Text(w, v); break;
            case Array list:
                w.Write(TypeOf(list.GetType().GetElementType()!));
                w.Write((ulong)list.Length);
                foreach (object item in list) Payload(w, item);
                break;
            default: throw new ArgumentException(value.GetType().Name);
        }
    }

    private static uint TypeOf(Type type) => type.IsArray ? 9u : Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => 0,
        TypeCode.SByte => 1,
        TypeCode.UInt16 => 2,
        TypeCode.Int16 => 3,
        TypeCode.UInt32 => 4,
        TypeCode.Int32 => 5,
        TypeCode.Single => 6,
        TypeCode.Boolean => 7,
        TypeCode.String => 8,
        TypeCode.UInt64 => 10,
        TypeCode.Int64 => 11,
        TypeCode.Double => 12,
        _ => throw new ArgumentException(type.Name),
    };
}
