using System.Globalization;

namespace Slipstream.Models;

/// <summary>Reads the <c>post_processor</c> of <c>tokenizer.json</c>.</summary>
internal static class PostProcessorJson
{
    public static PostProcessor Read(TokenizerField field)
    {
        int templates = 0;
        return Read(field, ref templates);
    }

    private static PostProcessor Read(TokenizerField field, ref int templates)
    {
        string kind = TokenizerJson.Kind(field);
        switch (kind)
        {
            case "Sequence":
                List<PostProcessor> parts = [];
                foreach (TokenizerField part in field.Get("processors").Items())
                    parts.Add(Read(part, ref templates));
                return new SequencePostProcessor(parts);
            case "ByteLevel":
                return field.Flag("trim_offsets", true)
                    ? new TrimOffsetsPostProcessor(field.Flag("add_prefix_space", true))
                    : new SequencePostProcessor([]);
            case "TemplateProcessing" or "RobertaProcessing":
                if (++templates > 1)
                    throw field.Unsupported("two post-processors that add tokens");
                return kind == "RobertaProcessing" ? ReadRoberta(field) : ReadTemplate(field);
            default:
                throw field.Unsupported($"the post-processor '{kind}'");
        }
    }

    private static SequencePostProcessor ReadRoberta(TokenizerField field)
    {
        TemplatePart begin = Special(field.Get("cls")), end = Special(field.Get("sep"));
        TemplatePart text = new(0, 0, []), pair = new(1, 0, []);
        TemplatePostProcessor template = new([begin, text, end], [begin, text, end, end, pair, end]);
        return new SequencePostProcessor(
            field.Flag("trim_offsets", true) ? [new TrimOffsetsPostProcessor(field.Flag("add_prefix_space", true)), template] : [template]);

        static TemplatePart Special(TokenizerField field)
        {
            TokenizerField[] parts = [.. field.Items()];
            return parts.Length == 2 ? new TemplatePart(-1, 0, [(parts[1].Id(), parts[0].Text())]) : throw field.Invalid("must be a token and its id");
        }
    }

    private static TemplatePostProcessor ReadTemplate(TokenizerField field) =>
        new(ReadParts(field.Get("single"), field, 1), ReadParts(field.Get("pair"), field, 2));

    private static List<TemplatePart> ReadParts(TokenizerField list, TokenizerField template, int sequences)
    {
        List<TemplatePart> parts = [];
        foreach (TokenizerField item in list.Items())
            if (item.Find("Sequence") is { } sequence)
            {
                string name = sequence.Get("id").Text();
                int index = name switch { "A" => 0, "B" when sequences == 2 => 1, _ => throw sequence.Invalid($"names the text '{TokenizerField.Shortened(name)}'") };
                parts.Add(new TemplatePart(index, TypeId(sequence), []));
            }
            else
            {
                TokenizerField special = item.Get("SpecialToken");
                string name = special.Get("id").Text();
                TokenizerField definition = template.Get("special_tokens").Get(name);
                int[] ids = [.. definition.Get("ids").Items().Select(id => id.Id())];
                string[] tokens = [.. definition.Get("tokens").Items().Select(token => token.Text())];
                if (ids.Length != tokens.Length)
                    throw definition.Invalid(string.Create(CultureInfo.InvariantCulture, $"has {ids.Length} ids but {tokens.Length} tokens"));
                parts.Add(new TemplatePart(-1, TypeId(special), [.. ids.Zip(tokens)]));
            }
        return parts;
    }

    private static int TypeId(TokenizerField field) => field.Find("type_id")?.Id() ?? 0;
}
