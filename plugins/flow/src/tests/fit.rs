//! Measures the classifier on public data sets, and fits the coefficients of the confidence. Not part of a normal run:
//! `CONFAB_NLU_DATA=/work/shared/data/nlu cargo test -p confab-plugin-flow --release -- --ignored --nocapture fit`

use crate::entities::Entities;
use crate::nlu::confidence::FIGURES;
use crate::nlu::vocabulary::Known;
use crate::nlu::{Example, Nlu, features, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Lines = Vec<(String, String)>;

fn data() -> Option<PathBuf> {
    std::env::var_os("CONFAB_NLU_DATA").map(PathBuf::from)
}

fn lines(folder: &Path) -> Lines {
    let texts = std::fs::read_to_string(folder.join("seq.in")).unwrap();
    let labels = std::fs::read_to_string(folder.join("label")).unwrap();
    texts.lines().zip(labels.lines()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

struct Random(u64);
impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.next(at + 1));
        }
    }
}

struct Sample {
    figures: [f32; FIGURES],
    right: bool,
}

/// One small bot: its samples (figures of the best class by margin, and whether taking it would be right).
fn bot(train: &Lines, test: &Lines, strangers: &Lines, random: &mut Random, samples: &mut Vec<Sample>) {
    let mut labels: Vec<String> = train.iter().map(|(_, label)| label.clone()).collect();
    labels.sort();
    labels.dedup();
    random.shuffle(&mut labels);
    let intents = 5 + random.next(16);
    let shots = 4 + random.next(7);
    labels.truncate(intents);
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut examples = Vec::new();
    let mut order: Vec<usize> = (0..train.len()).collect();
    random.shuffle(&mut order);
    for at in order {
        let (text, label) = &train[at];
        let Some(class) = labels.iter().position(|of| of == label) else {
            continue;
        };
        let count = taken.entry(label).or_default();
        if *count < shots {
            *count += 1;
            examples.push(Example { class: Some(class), language: 0, text: text.clone() });
        }
    }
    let entities = Entities::default();
    let nlu = Nlu::train(&examples, intents, &["en".to_owned()], &entities);
    let mut ask = |message: &str, truth: Option<usize>| {
        let (evidence, class) = nlu.best_evidence(message, &entities);
        samples.push(Sample { figures: evidence.figures(), right: truth == Some(class) });
    };
    let mut inside: Vec<&(String, String)> = test.iter().filter(|(_, label)| labels.contains(label)).collect();
    random.shuffle(&mut inside);
    for (message, label) in inside.into_iter().take(150) {
        ask(message, labels.iter().position(|of| of == label));
    }
    for _ in 0..75 {
        let (message, _) = &strangers[random.next(strangers.len())];
        ask(message, None);
        let (message, label) = &test[random.next(test.len())];
        if !labels.contains(label) {
            ask(message, None);
        }
    }
}

fn fit(samples: &[Sample]) -> [f32; FIGURES] {
    let mut weights = [0.0f64; FIGURES];
    for round in 0..3000 {
        let mut gradient = [0.0f64; FIGURES];
        for sample in samples {
            let sum: f64 = sample.figures.iter().zip(weights).map(|(f, w)| f64::from(*f) * w).sum();
            let error = 1.0 / (1.0 + (-sum).exp()) - f64::from(u8::from(sample.right));
            for (g, f) in gradient.iter_mut().zip(sample.figures) {
                *g += error * f64::from(f);
            }
        }
        let rate = if round < 2000 { 4.0 } else { 1.0 };
        for (w, g) in weights.iter_mut().zip(gradient) {
            *w -= rate * g / samples.len() as f64;
        }
    }
    weights.map(|w| w as f32)
}

fn judge(name: &str, samples: &[Sample], weights: &[f32; FIGURES]) {
    let accepts = |sample: &&Sample| sample.figures.iter().zip(weights).map(|(f, w)| f * w).sum::<f32>() >= 0.0;
    let right: Vec<&Sample> = samples.iter().filter(|s| s.right).collect();
    let wrong: Vec<&Sample> = samples.iter().filter(|s| !s.right).collect();
    println!(
        "{name}: {} samples; right ones accepted {:.1} %, wrong ones refused {:.1} %",
        samples.len(),
        100.0 * right.iter().filter(|s| accepts(s)).count() as f64 / right.len() as f64,
        100.0 * wrong.iter().filter(|s| !accepts(s)).count() as f64 / wrong.len() as f64
    );
}

#[test]
#[ignore = "needs the data sets"]
fn fit_confidence() {
    let Some(data) = data() else { return };
    let mut random = Random(42);
    let (clinc, hwu) = (data.join("CLINC150"), data.join("HWU64"));
    let mut clinc_samples = Vec::new();
    let (train, valid, oos) =
        (lines(&clinc.join("train")), lines(&clinc.join("valid")), lines(&clinc.join("oos/valid")));
    for _ in 0..60 {
        bot(&train, &valid, &oos, &mut random, &mut clinc_samples);
    }
    let mut hwu_samples = Vec::new();
    let (train, valid) = (lines(&hwu.join("train")), lines(&hwu.join("valid")));
    for _ in 0..40 {
        bot(&train, &valid, &oos, &mut random, &mut hwu_samples);
    }
    let weights = fit(&clinc_samples);
    println!("coefficients {weights:?}");
    judge("CLINC150 fitted", &clinc_samples, &weights);
    judge("HWU64 with the same", &hwu_samples, &weights);
    judge("CLINC150 built in", &clinc_samples, &crate::nlu::confidence::COEFFICIENTS);
    judge("HWU64 built in", &hwu_samples, &crate::nlu::confidence::COEFFICIENTS);
    for at in 0..FIGURES {
        let mean = |right: bool| {
            let of: Vec<f32> = clinc_samples.iter().filter(|s| s.right == right).map(|s| s.figures[at]).collect();
            of.iter().sum::<f32>() / of.len() as f32
        };
        println!("figure {at}: right {:.2}, wrong {:.2}", mean(true), mean(false));
    }
}

#[test]
#[ignore = "needs the data sets"]
fn fit_accuracy() {
    let Some(data) = data() else { return };
    for set in ["CLINC150", "HWU64"] {
        for shots in ["train_10", "train_5"] {
            let (train, test) = (lines(&data.join(set).join(shots)), lines(&data.join(set).join("test")));
            let mut labels: Vec<&String> = train.iter().map(|(_, label)| label).collect();
            labels.sort();
            labels.dedup();
            let entities = Entities::default();
            let examples: Vec<Example> = train
                .iter()
                .map(|(text, label)| Example {
                    class: labels.binary_search(&label).ok(),
                    language: 0,
                    text: text.clone(),
                })
                .collect();
            let start = std::time::Instant::now();
            let nlu = Nlu::train(&examples, labels.len(), &["en".to_owned()], &entities);
            let trained = start.elapsed();
            let start = std::time::Instant::now();
            let right = test
                .iter()
                .filter(|(text, label)| {
                    nlu.read(text, &entities).guesses.first().map(|g| labels[g.class]) == Some(label)
                })
                .count();
            println!(
                "{set} {shots}: {} examples in {trained:.1?}, accuracy {:.1} %, {:.1?} a message",
                examples.len(),
                100.0 * right as f64 / test.len() as f64,
                start.elapsed() / test.len() as u32
            );
        }
    }
}

impl Nlu {
    fn best_evidence(&self, message: &str, entities: &Entities) -> (crate::nlu::confidence::Evidence, usize) {
        let (tokens, known) = self.known_tokens(message, entities);
        let vector = self.weights.apply(&features::count(&tokens));
        let margins = self.classifier.margins(&vector);
        let best = (0..margins.len()).max_by(|a, b| margins[*a].total_cmp(&margins[*b])).unwrap();
        let rival = (0..margins.len()).filter(|at| *at != best).map(|at| margins[at]).fold(f32::MIN, f32::max);
        (self.evidence(best, margins[best], rival, &tokens, &known), best)
    }

    fn known_tokens(&self, message: &str, entities: &Entities) -> (Vec<text::Token>, Vec<Known>) {
        let text = text::normalise(message);
        let mut tokens = text::tokens(&text, &entities.spot(&text), |_| None);
        let known = self.correct(&mut tokens);
        (tokens, known)
    }
}
