"""Sketches that are harmless, and those that only look so."""

from __future__ import annotations

import pytest

from services.kit.errors import FailedPrecondition
from services.media.backends.code.check import check_sketch, find_danger
from services.media.backends.code.composer import compose_sketch
from services.media.backends.code.findings import MAX_SKETCH_BYTES
from services.media.backends.code.library import Library

SETUP = "function setup() { createCanvas(400, 400); }\n"

# By the kind of finding; every one is a whole sketch but for its malice.
HOSTILE: tuple[tuple[str, str], ...] = (
    # The network.
    ("network_storage_devices", "fetch('x')"),
    ("network_storage_devices", "const f = fetch; f('x')"),
    ("network_storage_devices", "new XMLHttpRequest()"),
    ("network_storage_devices", "new WebSocket('x')"),
    ("network_storage_devices", "new Worker('x')"),
    ("network_storage_devices", "navigator.sendBeacon('x', 'y')"),
    ("network_storage_devices", "new EventSource('x')"),
    ("network_storage_devices", "importScripts('x')"),
    ("import", "import('x')"),
    ("import", "import x from 'x'"),
    ("import", "export const x = 1"),
    ("import", "const u = import.meta"),
    # The page.
    ("the_page", "document.body"),
    ("computed_access", "window['loc' + 'ation']"),
    ("the_page", "globalThis.x"),
    ("unknown_name", "self.x"),
    ("unknown_name", "top.x"),
    ("unknown_name", "parent.x"),
    ("markup_and_addresses", "location = 'x'"),
    ("name_of_the_page", "var location = 'x'"),
    ("name_of_the_page", "function location() {}"),
    ("network_storage_devices", "localStorage.x = 1"),
    ("network_storage_devices", "postMessage('x', '*')"),
    ("network_storage_devices", "setTimeout('x', 1)"),
    ("the_page", "createCanvas(9, 9).elt"),
    ("the_page", "createCanvas(9, 9).elt.ownerDocument.defaultView"),
    ("the_page", "drawingContext.canvas"),
    ("the_page", "const {canvas} = drawingContext"),
    ("the_page", "const {canvas: c} = drawingContext"),
    ("the_page", "const {'canvas': c} = drawingContext"),
    ("the_page", "drawingContext['canvas']"),
    ("the_page", "let o = {canvas: 1}; drawingContext.canvas.x"),
    ("event_handler", "function mousePressed(e) { e.target }"),
    ("event_handler", "function keyPressed(...all) { }"),
    ("the_page", "createCanvas(9, 9).mousePressed((e) => e)"),
    ("code_from_text", "function mousePressed() { arguments.x }"),
    ("this_outside_class", "function f() { this.x } f()"),
    ("this_outside_class", "const w = this"),
    ("this_outside_class", "const o = { m() { return this } }"),
    ("this_outside_class", "(() => this)()"),
    ("this_outside_class", "class A extends (this) {}"),
    ("this_outside_class", "let w; class A { [+(w = this)]() { } }"),
    ("this_outside_class", "let w; class A { static [+(w = this)] = 1 }"),
    ("markup_and_addresses", "createCanvas(9, 9).html('x')"),
    ("p5_elements_and_files", "createP('x')"),
    ("p5_elements_and_files", "createDiv('x')"),
    ("p5_elements_and_files", "select('body')"),
    ("p5_elements_and_files", "loadImage('x.png')"),
    ("p5_elements_and_files", "loadJSON('x')"),
    ("p5_elements_and_files", "httpPost('x')"),
    ("p5_elements_and_files", "createCapture()"),
    ("p5_elements_and_files", "saveCanvas('x')"),
    ("p5_elements_and_files", "createGraphics(9, 9).loadImage('x')"),
    ("p5_elements_and_files", "let o = {loadImage: 1}; createGraphics(9, 9).loadImage('x')"),
    ("p5_elements_and_files", "cursor('x.png')"),
    ("p5_elements_and_files", "createGraphics(9, 9).save('x')"),
    ("p5_elements_and_files", "const g = createGraphics(9, 9); g['save']('x')"),
    ("unknown_name", "save('x')"),
    ("unknown_name", "open('x')"),
    ("unknown_name", "history.back()"),
    ("unknown_name", "frames[0]"),
    ("unknown_name", "Object.assign({}, {})"),
    ("unknown_name", "Object.create(null)"),
    ("unknown_name", "new p5((p) => { p.setup = () => {} })"),
    ("unknown_name", "const q = p5; new q()"),
    # Code from text.
    ("code_from_text", "eval('x')"),
    ("code_from_text", "(0, eval)('x')"),
    ("code_from_text", "Function('x')()"),
    ("code_from_text", "new Function('x')"),
    ("code_from_text", "[].constructor"),
    ("code_from_text", "[]['constructor']['constructor']('x')()"),
    ("code_from_text", "(() => 1).constructor('x')()"),
    ("code_from_text", "const {constructor} = []"),
    ("code_from_text", "const {constructor: C} = setup; C('x')()"),
    ("code_from_text", "const {'constructor': C} = setup"),
    ("code_from_text", "''?.constructor"),
    ("code_from_text", "let o = {constructor: 1}; o.constructor"),
    ("code_from_text", "class A { get constructor() { } static constructor() { } }; A.prototype"),
    ("code_from_text", "setup.call(null)"),
    ("code_from_text", "setup.bind(1)()"),
    ("hidden_property", "[].__proto__"),
    ("hidden_property", "let o = {__proto__: []}"),
    ("hidden_property", "createGraphics(9, 9)._pInst"),
    ("code_from_text", "Object.getPrototypeOf(setup)"),
    ("network_storage_devices", "Reflect.get([], 'x')"),
    ("network_storage_devices", "new Proxy({}, {})"),
    ("network_storage_devices", "const s = Symbol.iterator"),
    # Names put together while it runs.
    ("computed_access", "let k = 'con' + 'structor'; [][k][k]('x')()"),
    ("computed_access", "let k = ['con', 'structor'].join(''); [][k]"),
    ("computed_access", "[][`constructor`]"),
    ("computed_access", "[]['con' + 'structor']"),
    ("computed_access", "let k; k = String.fromCharCode(99); [][k]"),
    ("computed_access", "let k = 0; k = key; [][k]"),
    ("computed_access", "let k = 0; k += 'constructor'; [][k]"),
    ("computed_access", "let k = 0; [k] = ['constructor']; [][k]"),
    ("computed_access", "for (const k in {a: 1}) { [][k] }"),
    ("computed_access", "for (const k of ['constructor']) { [][k] }"),
    ("computed_access", "let k = 0; for (k of ['constructor']) { [][k] }"),
    ("computed_access", "['constructor'].forEach((k) => { [][k] })"),
    ("computed_access", "['constructor'].map((a, k = a) => a).map((k) => [][k])"),
    ("computed_access", "new Map([['constructor', 1]]).forEach((v, k) => { [][k] })"),
    ("computed_access", "let o = {forEach: (f) => f(1, 'x')}; o.forEach((v, k) => [][k])"),
    ("computed_access", "function f(k) { return [][k] } f(1); f('constructor')"),
    ("computed_access", "function f(k) { return [][k] } const g = f; g('constructor')"),
    ("computed_access", "function f(k) { return [][k] } ['constructor'].map(f)"),
    ("computed_access", "function f(k) { return [][k] } f(...['constructor'])"),
    ("computed_access", "const f = (k) => [][k]; [1].map(f)"),
    ("computed_access", "function f() { return 'constructor' } [][f()]"),
    ("computed_access", "function floor() { return 'constructor' } [][floor(1)]"),
    ("computed_access", "const int = (x) => x; [][int('constructor')]"),
    ("computed_access", "const m = Math; m.floor = () => 'constructor'; [][Math.floor(1)]"),
    ("code_from_text", "let o = {name: 1}; [][(function constructor() {}).name]"),
    ("code_from_text", "let o = {name: 1}; const constructor = () => 1; [][constructor.name]"),
    ("code_from_text", "class constructor {}"),
    ("code_from_text", "function __proto__() {}"),
    ("computed_access", "let o = {name: 1}; [][(function other() {}).name]"),
    ("computed_access", "let o = {message: 1}; try { null.x } catch (e) { [][e.message] }"),
    ("computed_access", "let o = {step: 1}; ({a: o.step} = {a: 'constructor'}); [][o.step]"),
    ("computed_access", "let o = {step: 1}; for (o.step of ['constructor']) { [][o.step] }"),
    ("computed_access", "let o = {step: 1}; for ([o.step] of [['constructor']]) { [][o.step] }"),
    ("computed_access", "let o = {step: 1}; [o.step] = ['constructor']; [][o.step]"),
    ("computed_access", "class A { step = 'constructor' } [][new A().step]"),
    ("computed_access", "class A { set step(v) { } } new A().step = 1; [][new A().step]"),
    ("computed_access", "class A { #step = 'constructor'; go() { return [][this.#step] } }"),
    ("computed_access", "const f = ({step}) => [][step]; f({step: 'constructor'})"),
    ("computed_access", "function f([k]) { return [][k] } f(['constructor'])"),
    ("computed_access", "function f(k, ...r) { return [][r] } f(1, 'constructor')"),
    ("computed_access", "function* f() { yield 'constructor' } for (const k of f()) { [][k] }"),
    ("computed_access", "const f = function g(k) { [][k]; g('constructor') }; f(1)"),
    ("computed_access", "[1].forEach(function g(v, k) { [][k]; g(1, 'constructor') })"),
    ("computed_access", "function f() { return 1 } { function f() { return 'constructor' } } "
     "[][f()]"),
    ("computed_access", "function f() { return 1 } function g() { { function f() { return 'c' } } "
     "return [][f()] }"),
    ("computed_access", "class A extends p5.Vector { see(k) { return [][k] } } new A().see(1)"),
    ("computed_access", "let o = { see(k) { return [][k] } }; o.see(1)"),
    ("computed_access", "const f = () => 'constructor'; [][f()]"),
    ("computed_access", "let f = () => 1; f = () => 'constructor'; [][f()]"),
    ("computed_access", "function f(g = () => 1) { return [][g()] } f(() => 'constructor')"),
    ("computed_access", "class A { static toString() { return 'constructor' } } [][A]"),
    ("syntax", "let a = <b>{1}</b>"),
    ("syntax", "let a = <b/>"),
    ("computed_access", "let o = {step: 1}; o.step = 'constructor'; [][o.step]"),
    ("computed_access", "let o = {step: 1}; o['step'] = 'constructor'; [][o.step]"),
    ("computed_access", "const step = key; let o = {step}; [][o.step]"),
    ("computed_access", "class A { get step() { return 'constructor' } } [][new A().step]"),
    ("computed_access", "class A { constructor(s) { this.step = s } } new A('constructor'); "
     "let a = new A(1); [][a.step]"),
    ("computed_access", "class A { constructor(s) { this.step = s } } class B extends A {} "
     "[][new B('constructor').step]"),
    ("computed_access", "class A { see(k) { return [][k] } } new A().see('constructor')"),
    ("computed_access", "class A { see(k) { return [][k] } } new A()['see']('constructor')"),
    ("computed_access", "class A { see(k) { return [][k] } } const {see} = new A(); see('x')"),
    ("computed_access", "class A { see(k) { return [][k] } } const {see: f} = new A(); f('x')"),
    ("computed_access", "[][{toString() { return 'constructor' }}]"),
    ("computed_access", "[][random(['constructor'])]"),
    ("computed_access", "[][createVector('constructor').x]"),
    ("computed_access", "let o = {x: 1}; [][createVector('constructor').x]"),
    ("computed_access", "let o = {length: 'constructor'}; [][o.length]"),
    ("computed_access", "let o = {['con' + 'structor']: 1}"),
    ("computed_access", "const {['con' + 'structor']: C} = setup"),
    ("computed_access", "try { throw 'constructor' } catch (k) { [][k] }"),
    ("computed_access", "let a = [][(1, 'constructor')]"),
    ("computed_access", "let a = [][true && 'constructor']"),
    ("computed_access", "async function f() { return 1 } [][f()]"),
    ("escaped_name", "[]['\\x63onstructor']"),
    ("escaped_name", "[].\\u0063onstructor"),
    ("escaped_name", "\\u0066etch('x')"),
    # What a parser and a browser could read differently, and what a page could.
    ("regular_expression", "let a = /x/"),
    ("markup", "let a = 1 <!-- fetch('x')"),
    ("markup", "let n = 3; while (n --> 0) { }"),
    ("markup", "let a = '</script><script>fetch(1)'"),
    ("markup", "text('<img onerror=x>', 1, 1)"),
    ("character", "let a = 1 // \u2028 fetch('x')"),
    ("character", "let a = 1 // \r fetch('x')"),
    ("character", "let a = '\u202e'"),
    ("syntax", "let a = "),
    ("syntax", "function draw( { }"),
    ("tagged_template", "print`x`"),
    ("with", "with (drawingContext) { canvas }"),
    ("debugger", "debugger"),
    # Addresses.
    ("address", "let a = 'https://evil.example/x'"),
    ("address", "let a = '//evil.example/x'"),
    ("address", "let a = `wss://evil.example`"),
    ("address", "let a = 'javascript:alert(1)'"),
    ("address", "let a = 'data:text/html,x'"),
    ("address", "let a = 'url(x)'"),
    ("address", "//# sourceMappingURL=x"),
    # What never ends.
    ("endless_loop", "while (true) { }"),
    ("endless_loop", "while (1) { print(1) }"),
    ("endless_loop", "for (;;) { }"),
    ("endless_loop", "for (let i = 0; ; i++) { }"),
    ("endless_loop", "do { } while (!0)"),
    ("endless_loop", "while (1 < 2) { }"),
    ("endless_loop", "while ('x') { }"),
    # What the library is made of.
    ("changes_the_library", "Math.floor = () => 'constructor'"),
    ("changes_the_library", "random = () => 'constructor'"),
    ("changes_the_library", "[random] = [1]"),
    ("changes_the_library", "width = 'constructor'"),
    ("changes_the_library", "drawingContext.filter = 'x'"),
    ("unknown_name", "undeclared = 1"),
    ("unknown_name", "function f() { let parent = 1 } parent.x"),
    ("unknown_property", "[].something"),
    ("hidden_property", "let o = {onload: 1}"),
)  # fmt: skip

HOSTILE_TONE: tuple[tuple[str, str], ...] = (
    ("tone_files_and_context", "new Tone.Player('x')"),
    ("tone_files_and_context", "new Tone.Sampler({})"),
    ("tone_files_and_context", "new Tone.UserMedia()"),
    ("tone_files_and_context", "Tone.getContext().rawContext"),
    ("unknown_name", "const T = Tone; T.Player"),
    ("tone_files_and_context", "const {Player} = Tone"),
    ("unknown_name", "Tone['Player']"),
    ("tone_files_and_context", "new Tone.Synth().context"),
    ("tone_files_and_context", "new Tone.Synth().context.rawContext.audioWorklet.addModule('x')"),
    ("changes_the_library", "Tone.Synth = 1"),
    ("the_page", "document.title"),
    ("no_sketch", "const a = 1"),
    ("unknown_name", "createCanvas(1, 1); Tone.start()"),
)

GOOD: tuple[str, ...] = (
    "function draw() { background(220); ellipse(mouseX, mouseY, 40, 40); }",
    "let grid = []; for (let i = 0; i < 9; i++) { grid[i] = []; for (let j = 0; j < 9; j++) "
    "{ grid[i][j] = random(255); } } function draw() { for (let i = 0; i < 9; i++) for (let j = 0; "
    "j < 9; j++) { fill(grid[i][j]); rect(i * 10, j * 10, 9, 9); } }",
    "const tones = ['#ff0000', 'rgb(1, 2, 3)']; function draw() { fill(tones[frameCount % "
    "tones.length]); stroke(tones[floor(random(tones.length))]); }",
    "class Ball { constructor(x, y) { this.place = createVector(x, y); this.parent = null; } "
    "move() { this.place.add(createVector(1, 0)); } show() { circle(this.place.x, this.place.y, 9) "
    "} } let balls = []; function mousePressed() { balls.push(new Ball(mouseX, mouseY)); } "
    "function draw() { for (const ball of balls) { ball.move(); ball.show(); } }",
    "let cells = new Array(100).fill(0); function at(i, j) { return i + j * 10; } function draw() "
    "{ for (let i = 0; i < 10; i++) { cells[at(i, 3)] += 1; } }",
    "let dots = Array.from({ length: 20 }, (_, i) => ({ order: i, turn: i / 20 })); "
    "function draw() { dots.forEach((dot, i) => { dots[i].turn += 0.01; "
    "dots[dot.order].order = i; }); }",
    "let words = ['Hund', 'Regen', 'a // b'.length]; function draw() { text(words[0], 10, 20); "
    "textSize(12); let s = `Bild ${frameCount}`; text(s, 1, 1); }",
    "function draw() { drawingContext.shadowBlur = 20; drawingContext.shadowColor = 'red'; "
    "push(); translate(width / 2, height / 2); rotate(frameCount * 0.01); circle(0, 0, 9); "
    "pop(); }",
    "function draw() { loadPixels(); for (let i = 0; i < pixels.length; i += 4) { pixels[i] = "
    "random(255); pixels[i + 3] = 255; } updatePixels(); }",
    "function tree(size) { if (size < 4) return; line(0, 0, 0, -size); translate(0, -size); "
    "push(); rotate(0.4); tree(size * 0.7); pop(); rotate(-0.4); tree(size * 0.7); } "
    "function draw() { translate(200, 400); tree(90); noLoop(); }",
    "let step = 0; function draw() { while (step < 99) { step++; point(step, noise(step)); } }",
    "const shades = { sky: '#abc', sea: '#123' }; function draw() { background(shades.sky); "
    "fill(shades['sea']); switch (frameCount % 3) { case 0: circle(1, 1, 2); break; default: } }",
    "const cols = 10; const at = (i, j) => i + j * cols; let cells = []; function draw() "
    "{ for (let i = 0; i < cols; i++) { cells[at(i, 2)] = i; } }",
    "class Walker { constructor() { this.history = []; this.children = []; this.path = [1]; } "
    "remember() { this.history.push(this.path[0]); drawingContext.save(); } } "
    "let one = new Walker(); function draw() { one.remember(); "
    "one.children.forEach((child) => child.remember()); }",
    "class Cell { constructor(column, row) { this.column = column; this.row = row; } "
    "near() { return field[this.column + 1]; } } let field = []; for (let c = 0; c < 5; c++) "
    "{ for (let r = 0; r < 5; r++) { field.push(new Cell(c, r)); } } function draw() { "
    "field[0].near(); }",
    "let name = 'Ada', status = 1; { let top = 2; rect(0, top, status, 4); } function draw() { "
    "text(name, 1, 1); }".replace("let name = 'Ada', status", "let person = 'Ada', state")
    .replace("text(name", "text(person").replace("top, status", "top, state"),
    "let layer; function preload() { } function keyPressed() { if (key === 's') { noLoop(); } } "
    "function draw() { layer = createGraphics(50, 50); layer.background(0); image(layer, 0, 0); "
    "let [a, b] = [1, 2]; const { floor: down } = Math; circle(a, b, down(2.5)); }",
    "function draw() { const sorted = [3, 1, 2].slice().sort((a, b) => a - b).map((n) => n * 2); "
    "sorted.forEach((n) => rect(n, 0, 1, 1)); const total = sorted.reduce((sum, n) => sum + n, 0); "
    "print(total, Math.max(...sorted)); }",
)  # fmt: skip

GOOD_TONE: tuple[str, ...] = (
    "const synth = new Tone.Synth().toDestination(); const notes = ['C4', 'E4']; let i = 0; "
    "new Tone.Loop((time) => { synth.triggerAttackRelease(notes[i % notes.length], '8n', time); "
    "i++; }, '4n').start(0); Tone.Transport.bpm.value = 90; Tone.Transport.start();",
    "const part = new Tone.Part((time, value) => { new Tone.FMSynth().toDestination()"
    ".triggerAttackRelease(value.note, '8n', time, value.velocity); }, [{ time: 0, note: 'C3', "
    "velocity: 0.9 }]).start(0); async function go() { await Tone.start(); "
    "Tone.Transport.start(); } go();",
)


@pytest.mark.parametrize(("kind", "code"), HOSTILE)
def test_a_hostile_sketch_is_refused_for_what_it_is(kind: str, code: str) -> None:
    found = find_danger(SETUP + code, "p5js")
    assert found is not None
    assert (found.kind, found.line) in ((kind, 2), (kind, 1))


@pytest.mark.parametrize(("kind", "code"), HOSTILE)
def test_malice_is_found_where_it_hides(kind: str, code: str) -> None:
    if kind in ("import", "character", "markup", "syntax", "name_of_the_page"):
        return
    inside = f"{SETUP}class Deep {{ run() {{ const f = () => {{ {code}\n }}; }} }}"
    assert find_danger(inside, "p5js") is not None or kind == "this_outside_class"


@pytest.mark.parametrize(("kind", "code"), HOSTILE_TONE)
def test_a_hostile_piece_is_refused(kind: str, code: str) -> None:
    found = find_danger(code, "tonejs")
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("code", GOOD)
def test_a_harmless_sketch_is_let_through(code: str) -> None:
    assert find_danger(SETUP + code, "p5js") is None


@pytest.mark.parametrize("code", GOOD_TONE)
def test_a_harmless_piece_is_let_through(code: str) -> None:
    assert find_danger(code, "tonejs") is None


def test_what_never_draws_is_no_sketch() -> None:
    for text in ("", "let a = 1", "Sorry", "function set() {}"):
        found = find_danger(text, "p5js")
        assert found is not None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("too_large", SETUP + "// " + "x" * MAX_SKETCH_BYTES),
        ("too_deep", SETUP + "let a = " + "(" * 3000 + "1" + ")" * 3000),
        ("too_deep", SETUP + "let a = " + "[" * 9000 + "]" * 9000),
        ("character", SETUP + "let a = '\ud800'"),
    ],
)
def test_what_would_break_the_check_itself_is_refused(kind: str, code: str) -> None:
    found = find_danger(code, "p5js")
    assert found is not None
    assert found.kind == kind


def test_a_sketch_of_the_largest_size_is_checked_in_a_moment() -> None:
    line = "let v%d = random(9); function f%d(k) { return [1, 2][k] + v%d; } f%d(1);\n"
    code = SETUP
    number = 0
    while len(code) < MAX_SKETCH_BYTES - 100:
        code += line % (number, number, number, number)
        number += 1
    assert find_danger(code, "p5js") is None


def test_the_error_says_what_and_where_and_quotes_nothing() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        check_sketch(SETUP + "fetch('geheim')", "p5js")
    error = caught.value
    assert error.reason == "CODE_NOT_ALLOWED"
    assert error.metadata == {"finding": "network_storage_devices", "line": "2"}
    assert "geheim" not in str(error)
    assert "fetch" not in str(error)


PROMPTS = (
    "Eine Blume auf der Wiese", "Ein Boot am Meer", "Nacht", "Die Stadt im Regen", "eine Rakete",
    "xyzzy", "a calm forest", "fast neon robots", "愛", "</script> ${alert(1)} `x` 'y' \\ $seed",
)  # fmt: skip


@pytest.mark.parametrize("recipe", ["", "dada", "bauhaus", "overdrive", "theopposite"])
@pytest.mark.parametrize("library", ["p5js", "tonejs"])
def test_the_built_in_author_passes_the_check_with_any_words(library: Library, recipe: str) -> None:
    for prompt in PROMPTS:
        for seed in (1, 2):
            sketch, _ = compose_sketch(prompt, recipe, seed, library)
            assert find_danger(sketch, library) is None
            assert sketch == compose_sketch(prompt, recipe, seed, library)[0]
            assert "$" not in sketch.replace("$" + "{", "")


def test_words_recipe_and_seed_make_other_sketches() -> None:
    for library in ("p5js", "tonejs"):
        sketches = {
            compose_sketch(prompt, recipe, seed, library)[0]
            for prompt in PROMPTS[:4]
            for recipe in ("", "bauhaus")
            for seed in (1, 2)
        }
        assert len(sketches) == 16
    patterns = {compose_sketch(prompt, "", 1, "p5js")[1] for prompt in PROMPTS[:5]}
    assert patterns == {"garden", "waves", "night", "city", "orbits"}
