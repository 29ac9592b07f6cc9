namespace Slipstream.Models;

/// <summary>
/// The printable alphabet of byte-level tokenizers: each of the 256 bytes has one character, so that a vocabulary can be written as text.
/// </summary>
/// <remarks>Source: Radford et al. 2019 (GPT-2), <c>bytes_to_unicode</c>.</remarks>
internal static class ByteAlphabet
{
    private static readonly char[] Characters = MakeCharacters();
    private static readonly short[] Bytes = MakeBytes();

    /// <summary>The character that stands for a byte.</summary>
    public static char Character(byte value) => Characters[value];

    /// <summary>Bytes that the character takes in UTF-8, 1 or 2: the reference library counts lengths in these.</summary>
    public static int Width(byte value) => Characters[value] < 0x80 ? 1 : 2;

    /// <summary>
    /// The bytes of a token: one a character where all of them are of the alphabet, else the token's own UTF-8 (an added token such as <c>你好</c>).
    /// </summary>
    public static byte[] Decode(string token)
    {
        byte[] bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            int value = token[i] < Bytes.Length ? Bytes[token[i]] : -1;
            if (value < 0)
                return System.Text.Encoding.UTF8.GetBytes(token);
            bytes[i] = (byte)value;
        }
        return bytes;
    }

    private static char[] MakeCharacters()
    {
        char[] characters = new char[256];
        int moved = 0;
        for (int b = 0; b < 256; b++)
            characters[b] = (char)(b is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE ? b : 256 + moved++);
        return characters;
    }

    private static short[] MakeBytes()
    {
        short[] bytes = new short[512];
        Array.Fill(bytes, (short)-1);
        for (int b = 0; b < 256; b++)
            bytes[Characters[b]] = (short)b;
        return bytes;
    }
}
