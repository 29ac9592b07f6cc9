namespace Slipstream.Benchmarks;

/// <summary>The texts that are run, so that a measurement needs no file but the model.</summary>
internal static class Texts
{
    /// <summary>About 200 tokens of plain prose.</summary>
    public const string Prose =
        "The old lighthouse at Maren Point had not been lit for eleven years when Clara Finch came to live beside it. She had bought the keeper's cottage for less than the price of a good horse, "
        + "because the roof leaked over the kitchen and the road ended half a mile before the door. On the first morning she walked along the shore and counted the boats that were out: three with red sails, "
        + "one with brown, and a grey steamer so far away that it seemed to stand still. A fisherman named Tobias Reed was mending a net on the stones. He told her that the lamp had been taken to the museum in Harwick, "
        + "that the great lens was still up there under a canvas sheet, and that nobody had climbed the stairs since the winter of the flood. Clara asked him who kept the key. "
        + "\"The key,\" said Tobias Reed, \"hangs on a nail inside the door, where it has always been, and in all these years no one has been curious enough to look.\" "
        + "She thanked him, gave him the two apples from her pocket, and went back to the cottage to find a lantern.";

    /// <summary>A prompt in ChatML, as SmolLM2 is trained on it.</summary>
    public static string Chat(string user) => $"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n";

    /// <summary>A question with a text, about 110 tokens with the template.</summary>
    public static string Question { get; } = Chat("Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. In June she gave seven clips away, and her brother found "
        + "four of those again under the sofa. How many clips did Natalia sell altogether in April and May? Explain each step of the calculation in a sentence of its own, and give the result at the end.");

    /// <summary>Questions whose answer is mostly a copy of them: what prompt lookup is for.</summary>
    public static IReadOnlyList<(string Name, string Text)> Repeats { get; } =
    [
        ("rename a person", $"Repeat the following text word for word, with one change: the fisherman's name is Samuel Hart instead of Tobias Reed.\n\n{Prose}"),
        ("change a number", $"Write the following text again exactly as it stands, but make it nineteen years instead of eleven years.\n\n{Prose}"),
        ("rename in code", $"Repeat this code with one change: rename the method Total to Sum.\n\n{Code}"),
    ];

    private const string Code = """
        public sealed class Basket
        {
            private readonly List<Item> _items = new List<Item>();

            public void Add(Item item)
            {
                if (item == null) throw new ArgumentNullException("item");
                if (item.Price < 0) throw new ArgumentException("The price of an item is not negative.", "item");
                _items.Add(item);
            }

            public bool Remove(Item item)
            {
                if (item == null) throw new ArgumentNullException("item");
                return _items.Remove(item);
            }

            public decimal Total()
            {
                decimal total = 0;
                foreach (Item item in _items)
                {
                    total += item.Price * item.Count;
                }
                return total;
            }

            public decimal TotalWithTax(decimal rate)
            {
                if (rate < 0) throw new ArgumentException("The rate is not negative.", "rate");
                return Total() * (1 + rate);
            }
        }
        """;
}
