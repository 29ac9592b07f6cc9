using System.Text;

namespace Slipstream.Tests.Formats;

/// <summary>Just enough of GGUF to find the tensors of a small, well-formed file without the reader that is tested elsewhere.</summary>
internal static class TensorWalk
{
    public readonly record struct Tensor(string Name, int Type, long Weights, long Start);

    public static List<Tensor> Read(byte[] file)
    {
        using BinaryReader reader = new(new MemoryStream(file));
        Assert.Equal("GGUF"u8.ToArray(), reader.ReadBytes(4));
        Assert.Equal(3u, reader.ReadUInt32());
        long tensors = reader.ReadInt64(), pairs = reader.ReadInt64();
        long alignment = 32;
        for (long i = 0; i < pairs; i++)
        {
            string key = Text(reader);
            uint type = reader.ReadUInt32();
            if (key == "general.alignment")
                alignment = reader.ReadUInt32();
            else
                SkipValue(reader, type);
        }
        List<Tensor> found = [];
        for (long i = 0; i < tensors; i++)
        {
            string name = Text(reader);
            long weights = 1;
            for (uint d = reader.ReadUInt32(); d > 0; d--)
                weights *= reader.ReadInt64();
            int type = reader.ReadInt32();
            found.Add(new Tensor(name, type, weights, reader.ReadInt64()));
        }
        long data = (reader.BaseStream.Position + alignment - 1) / alignment * alignment;
        return found.ConvertAll(t => t with { Start = data + t.Start });
    }

    private static string Text(BinaryReader reader) => Encoding.UTF8.GetString(reader.ReadBytes((int)reader.ReadInt64()));

    private static void SkipValue(BinaryReader reader, uint type)
    {
        switch (type)
        {
            case 0 or 1 or 7:
                reader.ReadByte();
                break;
            case 2 or 3:
                reader.ReadUInt16();
                break;
            case 4 or 5 or 6:
                reader.ReadUInt32();
                break;
            case 8:
                Text(reader);
                break;
            case 9:
                uint element = reader.ReadUInt32();
                for (long n = reader.ReadInt64(); n > 0; n--)
                    SkipValue(reader, element);
                break;
            default:
                reader.ReadUInt64();
                break;
        }
    }
}
