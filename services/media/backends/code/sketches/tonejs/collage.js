// Sounds out of a bag: chance draws what is heard, how high, how long, and when nothing is.
const SCALE = $scale_notes;
let state = $seed;

function chance() {
  state = (state * 16807) % 2147483647;
  return state / 2147483647;
}

function drawn(things) {
  return things[Math.floor(chance() * things.length)];
}

const crush = new Tone.BitCrusher(5).toDestination();
const hall = new Tone.Freeverb({ roomSize: 0.5, wet: 0.2 }).toDestination();
const voice = new Tone.FMSynth({ volume: -12, harmonicity: 3.01, modulationIndex: 9 }).connect(hall);
const toy = new Tone.PluckSynth({ volume: -6 }).connect(hall);
const machine = new Tone.MetalSynth({
  volume: -26,
  envelope: { attack: 0.001, decay: 0.2, release: 0.1 }
}).connect(crush);
const drum = new Tone.MembraneSynth({ volume: -12 }).connect(crush);
const paper = new Tone.NoiseSynth({
  volume: -24,
  envelope: { attack: 0.01, decay: 0.14, sustain: 0 }
}).connect(hall);

new Tone.Loop((time) => {
  const which = Math.floor(chance() * 7);
  const note = drawn(SCALE);
  if (which === 0) {
    voice.triggerAttackRelease(note, drawn(["16n", "8n", "4n"]), time, 0.4 + chance() * 0.5);
  } else if (which === 1) {
    toy.triggerAttackRelease(note, "8n", time);
  } else if (which === 2) {
    machine.triggerAttackRelease("C5", "32n", time, 0.6);
  } else if (which === 3) {
    drum.triggerAttackRelease(drawn(["C1", "G1", "C2"]), "16n", time);
  } else if (which === 4) {
    paper.triggerAttackRelease("16n", time);
  }
  if (chance() < 0.2) {
    Tone.Transport.bpm.rampTo(70 + chance() * 130, 0.2);
  }
}, "8n").start(0);

async function play() {
  await Tone.start();
  Tone.Transport.bpm.value = $bpm;
  Tone.Transport.start("+0.1");
}

play();
